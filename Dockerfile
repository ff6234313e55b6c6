# Owns the image: the program `onelane` with what it needs at run time, and the examples.
# Debian, as its C library is the one that everything here is tested on; exactly one version of it, so that a build says what it is.
FROM node:24.21.0-bookworm-slim AS base
WORKDIR /app

FROM base AS build
COPY package.json package-lock.json ./
# Without scripts: `prepare` compiles, and the sources are not there yet.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY shared shared
COPY producers producers
COPY consumers consumers
COPY operators operators
RUN npm run build

FROM base AS production
COPY package.json package-lock.json ./
# The optional packages are the embedded PostgreSQL, which NODE_ENV=production forbids.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM base AS onelane
# A consumer's health and metrics are on a port of their own. The API is on ONELANE_HTTP_PORT.
ENV NODE_ENV=production ONELANE_HEALTH_PORT=9464
# kafkajs sets timers to the past, on which Node 24 remarks in the middle of the log; they fire at once, as they should.
ENV NODE_OPTIONS=--disable-warning=TimeoutNegativeWarning
COPY package.json LICENSE ./
COPY --from=production /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY examples examples
USER node
EXPOSE 8080 9464
# Live, not ready: a broker that is away is waited for, and a restart helps nobody. An API answers on one port, a consumer on the other.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "-e", "const ask = async (port) => { if (!(await fetch(`http://127.0.0.1:${port}/health/live`)).ok) throw port; }; Promise.any([process.env.ONELANE_HEALTH_PORT, process.env.ONELANE_HTTP_PORT || 8080].map(ask)).then(() => process.exit(0), () => process.exit(1))"]
# The process itself, so that the signal of `docker stop` reaches it: it then finishes what runs.
ENTRYPOINT ["node", "dist/operators/cli/main.js"]
CMD ["--help"]
