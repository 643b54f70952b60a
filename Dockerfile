# feedkeeper as a container: packages in one stage, the program in the other.
# No build step, because Bun runs the TypeScript as it is.

FROM oven/bun:1.4.5-slim AS packages
WORKDIR /app
COPY package.json bun.lock ./
RUN bun install --production --frozen-lockfile

FROM oven/bun:1.4.5-slim
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json tsconfig.json LICENSE ./
COPY schema ./schema
COPY src ./src
COPY actors ./actors

# Owned before it becomes a volume, since a new volume takes over the owner it finds.
RUN install --directory --owner=1000 --group=1000 --mode=0700 /var/lib/feedkeeper
VOLUME /var/lib/feedkeeper

# A container's own loopback reaches nobody, so it listens on every address. That
# asks for API_TOKEN (or API_TOKEN_FILE): without one it says so and exits with 2.
ENV HOST=0.0.0.0 \
    PORT=8000 \
    FEEDKEEPER_DIR=/var/lib/feedkeeper
EXPOSE 8000

# The image's user `bun`, by number: Kubernetes can then see that it is not root.
USER 1000:1000

# Alive, not ready: a database that is away must not get the container killed.
HEALTHCHECK --interval=15s --timeout=5s --start-period=45s --retries=3 \
    CMD ["bun", "-e", "const { ok } = await fetch('http://127.0.0.1:' + process.env.PORT + '/health/live'); process.exit(ok ? 0 : 1)"]

# No tini: `bun run`, which is process 1 in exec form, hands SIGTERM, SIGINT and
# SIGHUP to the service and ends with its exit code, and the service waits for the
# one process it starts itself.
STOPSIGNAL SIGTERM
CMD ["bun", "run", "start"]
