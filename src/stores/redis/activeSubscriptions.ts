/** What other services keep in Redis of the symbols they need, and tell on a channel. */
import type { AssetClass } from "../../../schema/market.ts";
import { describeError } from "../../errors.ts";
import { type ControlLink, RedisError } from "./connect.ts";

const UPDATES_CHANNEL = "system:subscription_updates";
const ASSET_CLASSES = ["stock", "crypto"] as const;

const keyOf = (assetClass: AssetClass) => `active_subscriptions:${assetClass}`;

/** Resolves once `listener` hears every event from now on. @throws RedisError */
export async function hearUpdates(
  { client }: ControlLink,
  listener: (text: string) => void,
): Promise<void> {
  client.on("message", (_channel: string, text: string) => listener(text));
  await asked(client.subscribe(UPDATES_CHANNEL));
}

export interface ActiveSubscriptions {
  /** Members as they stand in Redis; a class is absent where its set cannot be read. */
  readonly members: Readonly<Partial<Record<AssetClass, readonly string[]>>>;
  /** Why a set could not be read. */
  readonly problems: readonly string[];
}

/** Both sets. @throws RedisError */
export async function readActiveSubscriptions({
  client,
}: ControlLink): Promise<ActiveSubscriptions> {
  const members: Partial<Record<AssetClass, readonly string[]>> = {};
  const problems: string[] = [];
  for (const assetClass of ASSET_CLASSES) {
    try {
      members[assetClass] = await asked(client.smembers(keyOf(assetClass)));
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      problems.push(`${keyOf(assetClass)}: ${describeError(error)}`);
    }
  }
  return { members, problems };
}

/**
 * Whether one of the spellings is in one of the sets. Both are asked: there are
 * services that keep every symbol among the stocks.
 * @throws RedisError
 */
export async function isActive(
  { client }: ControlLink,
  spellings: readonly string[],
): Promise<boolean> {
  const questions = ASSET_CLASSES.flatMap((assetClass) =>
    spellings.map((name) => client.sismember(keyOf(assetClass), name)),
  );
  const answers = await Promise.all(
    questions.map((question) =>
      asked(question).catch((error: unknown) => {
        // A set that cannot be read cannot say that nobody needs the symbol.
        if (isUnreadable(error)) return 1;
        throw error;
      }),
    ),
  );
  return answers.includes(1);
}

async function asked<Answer>(question: Promise<Answer>): Promise<Answer> {
  try {
    return await question;
  } catch (error) {
    throw new RedisError(describeError(error));
  }
}

/** Another kind of key, or no right to it: no new connection changes that. */
function isUnreadable(error: unknown): boolean {
  return (
    error instanceof RedisError && /^(WRONGTYPE|NOPERM)\b/.test(error.message)
  );
}
