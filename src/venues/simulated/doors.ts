/**
 * The doors that no real venue has, under `/sim`: the books, for whoever compares
 * with them, and the faults, for whoever breaks something.
 */
import { ConfigError } from "../../errors.ts";
import { json } from "./answer.ts";
import type { Books } from "./books.ts";
import {
  type Fault,
  FAULT_KINDS,
  type FaultBoard,
  readFault,
} from "./faults.ts";

export interface SimDoors {
  readonly accounts: readonly string[];
  readonly books: Books;
  readonly faults: FaultBoard;
  readonly inject: (fault: Fault) => void;
}

const BOOKS = ["orders", "activities", "events"] as const;
type Kind = (typeof BOOKS)[number];

const DOORS: Readonly<Record<string, string>> = {
  "GET /sim": "this list",
  "GET /sim/books/{account}":
    "cash, positions and the number of orders, activities and events",
  "GET /sim/books/{account}/orders": "every order as it is now, a line each",
  "GET /sim/books/{account}/activities": "every activity, a line each",
  "GET /sim/books/{account}/events":
    "every trade update that ever was, a line each",
  "GET /sim/faults": "the faults that are active",
  "POST /sim/faults": 'one fault, e.g. {"kind":"mute","forMs":5000}',
  "DELETE /sim/faults": "ends all faults",
};

/** Answers one request to `/sim…`. */
export async function answerSim(
  doors: SimDoors,
  request: Request,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  const [, , door, name, kind, ...rest] = pathname.split("/");
  if (door === "faults" && name === undefined)
    return answerFaults(doors, request);
  if (request.method !== "GET") return refused(405, "method not allowed");
  if (door === undefined)
    return json({
      doors: DOORS,
      accounts: doors.accounts,
      faults: FAULT_KINDS,
    });
  const account = doors.accounts.find(
    (each) => encodeURIComponent(each) === name,
  );
  if (door !== "books" || account === undefined || rest.length > 0)
    return refused(404, "not found");
  return answerBooks(doors, account, kind);
}

async function answerFaults(
  { faults, inject }: SimDoors,
  request: Request,
): Promise<Response> {
  switch (request.method) {
    case "GET":
      break;
    case "DELETE":
      faults.clear();
      break;
    case "POST":
      try {
        inject(readFault(await bodyOf(request)));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return json({ problems: error.problems }, 400);
      }
      break;
    default:
      return refused(405, "method not allowed");
  }
  return json(faults.list());
}

function answerBooks(
  { books }: SimDoors,
  account: string,
  kind: string | undefined,
): Response {
  if (kind === undefined)
    return json({
      ...books.account(account),
      ...books.counts(account),
      positions: books.positions(account),
    });
  if (!isKind(kind)) return refused(404, "not found");
  // Read in one go, so that no change comes in between.
  return new Response([...books.all(account, kind), ""].join("\n"), {
    headers: { "Content-Type": "application/x-ndjson" },
  });
}

function isKind(text: string): text is Kind {
  return BOOKS.some((kind) => kind === text);
}

async function bodyOf(request: Request): Promise<unknown> {
  try {
    return await request.json();
  } catch {
    throw new ConfigError(["the body is no JSON"]);
  }
}

function refused(status: number, message: string): Response {
  return json({ message }, status);
}
