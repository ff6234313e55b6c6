// Owns how the house tests read a Dockerfile: its stages, and the instructions of each.

export interface Instruction {
  /** In capitals: COPY, say. */
  readonly name: string;
  readonly flags: readonly string[];
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  /** An image, or an earlier stage. */
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

const LINE = /^([A-Z]+)\s+((?:--\S+\s+)*)(.*)$/s;

export function stagesOf(dockerfile: string): readonly Stage[] {
  const lines = dockerfile
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const stages: { name: string; from: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, name = '', flags = '', text = ''] = LINE.exec(line) ?? [];
    if (name === 'FROM') {
      const [from = '', , stage = ''] = text.split(/\s+/);
      stages.push({ name: stage, from, instructions: [] });
    } else stages.at(-1)?.instructions.push({ name, flags: flags.trim().split(/\s+/).filter(Boolean), text });
  }
  return stages;
}

export function named(stage: Stage, name: string): readonly Instruction[] {
  return stage.instructions.filter((each) => each.name === name);
}
