/** Accounts of one service: refused, added, removed while it runs, and shared between replicas. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MINUTE, SECOND } from "../../src/clock.ts";
import { nodeAt } from "../../src/treeReading.ts";
import { tradeBriskly } from "../support/market.ts";
import { openScene } from "../support/scene.ts";
import type { Service } from "../support/service.ts";

test.concurrent(
  "a refused key is that account's trouble alone; SIGHUP brings the new key, accounts come and go, and a wrong file changes nothing",
  async () => {
    await using scene = await openScene(["alpha", "beta", "gamma"]);
    const { market } = scene;
    const file = join(scene.directory(), "destinations.json");
    const write = (entries: readonly unknown[]) =>
      writeFileSync(file, JSON.stringify(entries));
    const [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(market.entry);
    write([{ ...alpha, secret_key: "of-yesterday" }, beta]);
    await using _trading = tradeBriskly(market, "alpha");
    await using _more = tradeBriskly(market, "beta");
    const service = await scene.start({
      environment: { DESTINATIONS: "", DESTINATIONS_FILE: file },
    });
    await showsStates(service, { alpha: "refused", beta: "streaming" });

    await service.ready();
    const { status, checks } = await service.health();
    expect(status).toBe("degraded");
    expect(checks.filter(({ ok }) => !ok)).toMatchObject([
      {
        name: "account/alpha",
        state: "refused",
        required: false,
        detail: expect.stringMatching(/^dead: .*unauthorized/i),
      },
    ]);
    const node = nodeAt(
      await service.tree(),
      "pipeline/accounts/account/alpha/stream",
    );
    expect(node).toMatchObject({ state: "refused", restarts: 0 });

    write([alpha, beta, gamma]);
    service.signal("SIGHUP");
    await service.logged("configuration_reloaded", {
      added: ["gamma"],
      removed: [],
    });
    await showsStates(service, {
      alpha: "streaming",
      beta: "streaming",
      gamma: "streaming",
    });
    expect((await service.health()).status).toBe("ok");

    for (const [wrong, problem] of [
      [[alpha, beta, { name: "gamma", key_id: "PKGAMMA" }], "secret_key"],
      [[alpha, beta, gamma, { ...gamma, name: "Gamma" }], "share the tables"],
    ] as const) {
      write(wrong);
      service.signal("SIGHUP");
      const refused = () =>
        service.lines.filter(
          ({ message, problems }) =>
            message === "configuration_refused" &&
            String(problems).includes(problem),
        );
      await service.until("the problem", () => refused().length > 0);
      expect(refused()).toMatchObject([
        { level: "ERROR", problems: [expect.stringContaining(problem)] },
      ]);
    }
    const { accounts } = await service.status();
    expect(accounts.map(({ account }) => account)).toEqual([
      "alpha",
      "beta",
      "gamma",
    ]);

    await _more.stop();
    await scene.equalsBooks(["beta"]);
    write([alpha, gamma]);
    service.signal("SIGHUP");
    await service.logged("configuration_reloaded", {
      added: [],
      removed: ["beta"],
    });
    await service.logged("actor_finished", {
      actor: "pipeline/accounts/account/beta",
    });
    market.venue.inject({ kind: "auth-refused", account: "gamma" });
    market.venue.inject({ kind: "drop", account: "gamma" });
    await showsStates(service, { alpha: "streaming", gamma: "refused" });

    await _trading.stop();
    await scene.equalsBooks();
    expect((await scene.events(["beta", "gamma"])).amiss).toEqual([]);
    // Nothing of this made the one that was well start again.
    const starts = service.lines.filter(
      ({ message, actor }) =>
        message === "actor_started" &&
        actor === "pipeline/accounts/account/beta/stream",
    );
    expect(starts).toHaveLength(1);
    expect((await service.stop()).code).toBe(0);
  },
  2 * MINUTE,
);

test.concurrent(
  "of two replicas one has the account; killed, the other takes over when the lease lapses, and gives it to nobody who comes back",
  async () => {
    await using scene = await openScene(["alpha"]);
    await using trading = tradeBriskly(scene.market, "alpha");
    const environment = { LEASE_SECONDS: "3" };
    const first = await scene.start({ environment });
    await showsStates(first, { alpha: "streaming" });
    const second = await scene.start({ environment });
    await showsStates(second, { alpha: "standby" });
    await second.ready();

    await first.kill();
    const killedMs = Date.now();
    await showsStates(second, { alpha: "streaming" });
    const tookMs = Date.now() - killedMs;
    expect(tookMs).toBeLessThan(3 * SECOND + 5 * SECOND);

    const back = await scene.start({
      environment,
      directory: first.directory,
    });
    await showsStates(back, { alpha: "standby" });
    await trading.stop();
    await scene.equalsBooks();
    expect((await scene.events()).amiss).toEqual([]);
    expect(await second.stateOf("alpha")).toBe("streaming");

    // A clean stop gives the lease back at once.
    expect((await second.stop()).code).toBe(0);
    await showsStates(back, { alpha: "streaming" }, 2500);
  },
  2 * MINUTE,
);

function showsStates(
  service: Service,
  states: Readonly<Record<string, string>>,
  withinMs?: number,
): Promise<void> {
  return service.until(
    JSON.stringify(states),
    async () => {
      const { accounts } = await service.status();
      return Bun.deepEquals(
        Object.fromEntries(accounts.map((each) => [each.account, each.state])),
        states,
      );
    },
    withinMs,
  );
}
