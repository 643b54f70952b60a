/** `config check`: what the configuration comes to, and whether everything it names answers. */
import type { Account } from "../../schema/account.ts";
import type { ConfigCheckFlags, Output } from "../cli.ts";
import { SECOND, sleep } from "../clock.ts";
import {
  effectiveConfig,
  readConfig,
  type Config,
  type Environment,
} from "../config.ts";
import type {
  KafkaAddress,
  MarketConfig,
  PolygonAccess,
} from "../config/market.ts";
import { MASK, maskUrl } from "../config/mask.ts";
import { ConfigError, describeError } from "../errors.ts";
import { planOf, type Running, type Step } from "./plan.ts";

/** Longest wait for one store or venue to answer. */
export const PROBE_MS_MAX = 10 * SECOND;

export interface Probes {
  /** Rejects when the database does not answer a query. Absent: it is not asked. */
  readonly postgres?: (url: string) => Promise<void>;
  /** Resolves with a word on the account (its number, its status). */
  readonly account: (account: Account) => Promise<string>;
  /** The market data's host takes the key. Absent: it is not asked. */
  readonly marketData?: (market: MarketConfig) => Promise<void>;
  /** Rejects when Redis does not answer. Absent: it is not asked. */
  readonly redis?: (url: string) => Promise<void>;
  /** Rejects when Firestore does not answer. Absent: it is not asked. */
  readonly firestore?: (market: MarketConfig) => Promise<void>;
  /** The registry's venue takes the key. Absent: it is not asked. */
  readonly polygon?: (access: PolygonAccess) => Promise<void>;
  /** Rejects when no broker answers. Absent: they are not asked. */
  readonly kafka?: (address: KafkaAddress) => Promise<void>;
  /** The service that runs with this configuration's address; undefined when none does. Only for `--plan`. */
  readonly running?: (config: Config) => Promise<Running | undefined>;
}

export interface ConfigCheckInput {
  readonly environment: Environment;
  readonly flags: ConfigCheckFlags;
  readonly io: Output;
  readonly probes: Probes;
  readonly readFile?: (path: string) => string;
}

/** Exit code: 0 all answer, 1 something does not, 2 the configuration is wrong. */
export async function configCheck(input: ConfigCheckInput): Promise<number> {
  const { flags, io, probes, environment, ...reading } = input;
  let config: Config;
  try {
    config = readConfig(environment, { ...reading, flags });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems } = error;
    if (flags.json) io.stdout(toJson({ ok: false, problems }));
    else io.stderr(problems.map((problem) => `${problem}\n`).join(""));
    return 2;
  }
  const questions = questionsOf(config, probes);
  const answers = await Promise.all(questions.map(ask));
  const running = flags.plan
    ? await ask({
        name: "running service",
        put: async () => probes.running?.(config),
      })
    : undefined;
  const report: Report = {
    ok: answers.every(({ ok }) => ok),
    config: effectiveConfig(config),
    answers: answers.map(({ value, ...answer }) => ({
      ...answer,
      detail: withoutSecrets(answer.detail ?? value ?? "answers", config),
    })),
    ...(running === undefined
      ? {}
      : {
          plan: planOf(config, running.value),
          ...(running.value === undefined
            ? { planNote: running.detail ?? "no service runs there" }
            : {}),
        }),
  };
  io.stdout(flags.json ? toJson(report) : toText(report));
  return report.ok ? 0 : 1;
}

interface Report {
  readonly ok: boolean;
  readonly config: Record<string, unknown>;
  readonly answers: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
  readonly plan?: readonly Step[];
  readonly planNote?: string;
}

interface Question<Value> {
  readonly name: string;
  readonly put: () => Promise<Value>;
}

interface Answer<Value> {
  readonly name: string;
  readonly ok: boolean;
  readonly value?: Value;
  readonly detail?: string;
}

function questionsOf(config: Config, probes: Probes): Question<string>[] {
  const { market, postgres } = config;
  return [
    ...question("postgres", postgres.url, probes.postgres),
    ...question("market database", market.postgres?.url, probes.postgres),
    ...config.accounts.map((account) => ({
      name: `account ${account.slug}`,
      put: () => probes.account(account),
    })),
    ...question("market data", market.access && market, probes.marketData),
    ...question("redis", market.redis?.url, probes.redis),
    ...question("firestore", market.firestore && market, probes.firestore),
    ...question("polygon", market.polygon, probes.polygon),
    ...question("kafka", market.kafka, probes.kafka),
  ];
}

/** One that can be put: there is something to ask, and somebody who asks. */
function question<Subject>(
  name: string,
  subject: Subject | undefined,
  put: ((subject: Subject) => Promise<void>) | undefined,
): Question<string>[] {
  if (subject === undefined || put === undefined) return [];
  return [
    {
      name,
      async put() {
        await put(subject);
        return "answers";
      },
    },
  ];
}

/** The answer, or what is wrong; never waits longer than {@link PROBE_MS_MAX}. */
async function ask<Value>({
  name,
  put,
}: Question<Value>): Promise<Answer<Value>> {
  const givingUp = new AbortController();
  try {
    const value = await Promise.race([
      put(),
      sleep(PROBE_MS_MAX, givingUp.signal).then(() => {
        throw new Error(`no answer within ${PROBE_MS_MAX / SECOND} s`);
      }),
    ]);
    return { name, ok: true, value };
  } catch (error) {
    return { name, ok: false, detail: describeError(error) };
  } finally {
    givingUp.abort();
  }
}

/** An error of a store or a venue may repeat what it was given. */
function withoutSecrets(detail: string, config: Config): string {
  const { accounts, market, postgres } = config;
  const passwords = [postgres.url, market.postgres?.url, market.redis?.url]
    .map((url) => URL.parse(url ?? "")?.password ?? "")
    .flatMap((password) => [password, decodeURIComponent(password)]);
  return [
    ...[
      ...accounts,
      ...(market.access === undefined ? [] : [market.access]),
    ].flatMap(({ keyId, secretKey }) => [secretKey, keyId]),
    ...passwords,
    ...(market.polygon === undefined
      ? []
      : [
          market.polygon.apiKey,
          market.polygon.files?.secretKey ?? "",
          market.polygon.files?.accessKey ?? "",
        ]),
    market.kafka?.sasl?.password ?? "",
  ]
    .filter((secret) => secret !== "")
    .reduce((text, secret) => text.replaceAll(secret, MASK), maskUrl(detail));
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function toText({ config, answers, plan, planNote }: Report): string {
  return [
    ...lines(config),
    ...answers.map(
      ({ name, ok, detail }) =>
        `${ok ? "ok    " : "FAILED"} ${name}: ${detail}`,
    ),
    ...(plan === undefined ? [] : planLines(plan, planNote)),
    "",
  ].join("\n");
}

function planLines(plan: readonly Step[], note: string | undefined): string[] {
  return [
    note === undefined ? "plan:" : `plan (${note}):`,
    ...(plan.length === 0 ? ["  nothing would change"] : []),
    ...plan.map(({ action, what }) => `  ${action} ${what}`),
  ];
}

/** One line a value, named by its path: `healing.intervalMs = 300000`. */
function lines(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null)
    return [`${path} = ${String(value)}`];
  if (Array.isArray(value) && value.every((item) => typeof item !== "object"))
    return [`${path} = ${value.join(",")}`];
  return Object.entries(value).flatMap(([name, member]) =>
    lines(member, path === "" ? name : `${path}.${name}`),
  );
}
