// Owns what a machine checks of the house style: types, sizes, seams between rooms, effects in their places.
import tseslint from 'typescript-eslint';

/** `as` is for `identity.ts` and for decoded boundaries; a comment on the line, or on the line before, says why it holds. */
const explainedAssertion = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { unexplained: 'say in a comment on this line or the one before why this `as` holds, or do without it' },
  },
  create(context) {
    const { sourceCode } = context;
    const commented = new Set();
    for (const comment of sourceCode.getAllComments()) commented.add(comment.loc.end.line);
    function check(node) {
      if (node.typeAnnotation.typeName?.name === 'const') return;
      if (node.parent.type === 'TSAsExpression') return;
      const first = statementOf(node).loc.start.line;
      const explained =
        [node.loc.start.line, node.loc.start.line - 1, node.loc.end.line].some((line) => commented.has(line)) ||
        commented.has(first - 1);
      if (!explained) context.report({ node, messageId: 'unexplained' });
    }
    return { TSAsExpression: check, TSTypeAssertion: check };
  },
};

function statementOf(node) {
  let at = node;
  while (at.parent && !/(Statement|Declaration|PropertyDefinition)$/.test(at.type)) at = at.parent;
  return at;
}

/** Folder by folder: what it may not import. The same law, import by import, stands in test/unit/house/import-law.test.ts. */
const ADAPTERS = '(memory|kafka|rabbitmq|postgres)/';
const rooms = [
  {
    files: 'shared/process/**',
    banned: ['/(command|resources|transport|postgres)/', '/(producers|consumers|operators)/'],
  },
  { files: 'shared/command/**', banned: ['/(resources|transport|postgres)/', '/(producers|consumers|operators)/'] },
  { files: 'shared/resources/**', banned: ['/(transport|postgres)/', '/(producers|consumers|operators)/'] },
  { files: 'shared/transport/**', banned: ['/resources/', '/(producers|consumers|operators)/'] },
  { files: 'shared/postgres/**', banned: ['/(resources|transport)/', '/(producers|consumers|operators)/'] },
  { files: 'producers/**', banned: ['/(consumers|operators)/', `/transport/${ADAPTERS}`] },
  { files: 'consumers/**', banned: ['/(producers|operators)/', `/transport/${ADAPTERS}`] },
  { files: 'operators/**', banned: [`/transport/${ADAPTERS}`] },
].map(({ files, banned }) => ({
  files: [`${files}/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...banned.map((regex) => ({ regex, message: 'the import law: see DESIGN in README.md, "The house"' })),
          { regex: '^\\.\\.?/.*(?<!\\.(ts|js|json|mjs))$', message: 'name the file with its extension' },
        ],
      },
    ],
  },
}));

const noProcess = (...names) => [
  'error',
  ...names.map(([property, message]) => ({ object: 'process', property, message })),
];
const ENV = ['env', 'the environment is read in shared/process/settings.ts only'];
const EXIT = [
  ['exit', 'only operators/cli ends the process'],
  ['exitCode', 'only operators/cli decides the exit code'],
  ['abort', 'only a test kills its process'],
  ['on', 'only operators/cli listens to signals'],
  ['once', 'only operators/cli listens to signals'],
];

export default tseslint.config(
  { ignores: ['**/dist/', '**/node_modules/', '**/.onelane*/', 'coverage/', 'examples/*/data/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: {
      '@typescript-eslint': tseslint.plugin,
      onelane: { rules: { 'explained-assertion': explainedAssertion } },
    },
    rules: {
      // Types
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/ban-ts-comment': 'error',
      '@typescript-eslint/no-namespace': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
      // Promises
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      // Plain mistakes
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-var': 'error',
      'prefer-const': 'error',
      'no-else-return': 'error',
      'no-unneeded-ternary': 'error',
      'no-useless-return': 'error',
      'no-useless-rename': 'error',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-unsafe-finally': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
      'no-control-regex': 'off',
      'array-callback-return': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'exports are named' },
        { selector: 'ExportAllDeclaration', message: 'no re-export barrels' },
        { selector: 'TSEnumDeclaration', message: 'a union tagged kind instead' },
        { selector: 'LabeledStatement', message: 'a function instead' },
      ],
    },
  },
  {
    files: ['{shared,producers,consumers,operators}/**/*.ts'],
    rules: {
      'onelane/explained-assertion': 'error',
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', 70],
      'max-params': ['error', 4],
      'max-depth': ['error', 4],
      complexity: ['error', { max: 15, variant: 'modified' }],
      'no-console': 'error',
      'no-restricted-properties': noProcess(ENV, ...EXIT),
    },
  },
  { files: ['shared/command/identity.ts'], rules: { 'onelane/explained-assertion': 'off' } },
  { files: ['shared/process/settings.ts'], rules: { 'no-restricted-properties': noProcess(...EXIT) } },
  { files: ['operators/cli/**/*.ts'], rules: { 'no-console': 'off', 'no-restricted-properties': noProcess(ENV) } },
  { files: ['test/**/*.ts'], rules: { 'max-lines': ['error', 400], 'max-params': ['error', 4] } },
  ...rooms,
  { files: ['shared/transport/catalogue.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['*.config.ts', 'examples/*/onelane.config.ts', 'test/**/*.config.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
