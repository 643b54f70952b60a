/** Day files, from an S3 server that nobody here wrote, and from stores that refuse, break off and replace. */
import { afterAll, beforeAll, describe, expect, jest, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Bar } from "../../../schema/market.ts";
import { SECOND } from "../../../src/clock.ts";
import {
  type FlatFilesAccess,
  polygonFiles,
} from "../../../src/venues/polygon/flatFiles.ts";
import { openFileStore, type FileStore } from "./fileStore.ts";
import { BACKFILL } from "./options.ts";
import { failureOf } from "./server.ts";

const DAY = "2025-04-16";
const KEY = `us_stocks_sip/minute_aggs_v1/2025/04/${DAY}.csv.gz`;
const OPEN_SECONDS = 1_744_810_200;
const HEADER = "ticker,volume,open,close,high,low,window_start,transactions";

function row(symbol: string, minute = 0): string {
  const start = `${OPEN_SECONDS + 60 * minute}000000000`;
  return `${symbol},4930,200.29,200.5,200.63,200.29,${start},129`;
}

function fileOf(...rows: readonly string[]): Buffer {
  return gzipSync([HEADER, ...rows, ""].join("\n"));
}

/** All bars of a file: symbols by batch, and what was set aside. */
async function read(
  access: FlatFilesAccess,
  file: { key: string; etag: string },
  more: { symbols?: ReadonlySet<string>; signal?: AbortSignal } = {},
) {
  const malformed: string[] = [];
  const { symbols, signal = BACKFILL.signal } = more;
  const bars = polygonFiles(access).bars(
    file,
    { assetClass: "stock", day: DAY, ...(symbols && { symbols }) },
    {
      ...BACKFILL,
      signal,
      onMalformed: ({ raw }) => malformed.push(raw),
    },
  );
  const batches = await Array.fromAsync(bars, (batch) =>
    batch.map(({ symbol }) => symbol),
  );
  return { batches, malformed };
}

describe("a store of files", () => {
  let store: FileStore;
  beforeAll(async () => {
    store = await openFileStore();
  });
  afterAll(() => store.stop());

  const find = (day = DAY, more: Partial<FlatFilesAccess> = {}) =>
    polygonFiles({ ...store.access, ...more }).find("stock", day, BACKFILL);

  async function found() {
    const file = await find();
    if (file === undefined) throw new Error("the file is not there");
    return file;
  }

  test("has a file with its version, and bars in it", async () => {
    await store.put(KEY, fileOf(row("AAPL"), "damaged", row("KIMpL")));
    const file = await found();
    expect(file).toEqual({
      key: KEY,
      etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
    });
    const bars = polygonFiles(store.access, { now: () => 77 }).bars(
      file,
      { assetClass: "stock", day: DAY },
      { ...BACKFILL, onMalformed: () => {} },
    );
    expect((await Array.fromAsync(bars)).flat()).toEqual(
      ["AAPL", "KIMpL"].map((symbol): Bar => ({
        kind: "bar",
        span: "history",
        symbol,
        open: 200.29,
        high: 200.63,
        low: 200.29,
        close: 200.5,
        volume: 4930,
        trades: 129,
        timestamp: "2025-04-16T13:30:00Z",
        source: "polygon",
        receivedAtMs: 77,
      })),
    );
    expect(
      await read(store.access, file, { symbols: new Set(["KIMpL"]) }),
    ).toEqual({
      batches: [["KIMpL"]],
      malformed: [],
    });
    expect(await read(store.access, file)).toEqual({
      batches: [["AAPL", "KIMpL"]],
      malformed: ["damaged"],
    });
  });

  test("has files of pairs in a folder of their own", async () => {
    const key = `global_crypto/minute_aggs_v1/2025/04/${DAY}.csv.gz`;
    await store.put(key, fileOf(row("X:BTC-USD")));
    const files = polygonFiles(store.access);
    const file = await files.find("crypto", DAY, BACKFILL);
    const bars = files.bars(
      file ?? { key: "", etag: "" },
      { assetClass: "crypto", day: DAY },
      { ...BACKFILL, onMalformed: () => {} },
    );
    expect(
      (await Array.fromAsync(bars)).flat().map(({ symbol }) => symbol),
    ).toEqual(["BTC/USD"]);
  });

  test("has no file of a day that is not released", async () => {
    expect(await find("2025-04-17")).toBeUndefined();
  });

  test("tells a file that was replaced after it was found", async () => {
    await store.put(KEY, fileOf(row("AAPL")));
    const before = await found();
    await store.put(KEY, fileOf(row("AAPL"), row("MSFT")));
    expect(await failureOf(read(store.access, before))).toEqual({
      failure: "absent",
      message: `${KEY} was replaced after it was found`,
    });
    const after = await found();
    expect(after.etag).not.toBe(before.etag);
    expect((await read(store.access, after)).batches).toEqual([
      ["AAPL", "MSFT"],
    ]);
  });

  test("refuses an unknown key, and that is not taken for a day without a file", async () => {
    expect(await failureOf(find(DAY, { accessKey: "WHO" }))).toEqual({
      failure: "refused",
      message: "the key for day files is refused: InvalidAccessKeyId",
    });
    const file = { key: KEY, etag: '"a"' };
    expect(
      await failureOf(read({ ...store.access, accessKey: "WHO" }, file)),
    ).toEqual({
      failure: "refused",
      message: `403 from the store of ${KEY}: InvalidAccessKeyId`,
    });
  });

  test("has files of no rows, and such as are no gzip", async () => {
    await store.put(KEY, fileOf());
    expect(await read(store.access, await found())).toEqual({
      batches: [],
      malformed: [],
    });
    for (const content of [
      new TextEncoder().encode("<html>not today</html>"),
      fileOf(row("AAPL")).subarray(0, 60),
    ]) {
      await store.put(KEY, content);
      expect(await failureOf(read(store.access, await found()))).toEqual({
        failure: "rejected",
        message: `${KEY} is damaged`,
      });
    }
  });

  test("has files that were put together from several", async () => {
    const tail = gzipSync(`${row("MSFT")}\n`);
    await store.put(KEY, Buffer.concat([fileOf(row("AAPL")), tail]));
    expect((await read(store.access, await found())).batches).toEqual([
      ["AAPL", "MSFT"],
    ]);
  });

  test("has files of millions of rows, which take no more memory than small ones", async () => {
    const block = minutesOf("2025-04-15", 250);
    const header = gzipSync(`${HEADER}\n`);
    const key = KEY.replace(DAY, "2025-04-15");
    const memory: number[] = [];
    for (const blocks of [1, 12]) {
      const parts = Array.from({ length: blocks }, () => block);
      await store.put(key, Buffer.concat([header, ...parts]));
      const told = await readInProcess(store.access, "2025-04-15");
      expect(told.rows).toBe(blocks * 250 * 800);
      expect(told.batchLengthMax).toBeLessThan(8000);
      memory.push(told.bytesMax);
    }
    const [small = 0, large = 0] = memory;
    // Packed it is 40 MB longer, and unpacked 150.
    expect(large - small).toBeLessThan(30e6);
    expect(large).toBeLessThan(200e6);
  }, 30_000);
});

/** Whether the key "hush" has signed it, as the rules of AWS say (Signature Version 4). */
function isSigned({ method, url, headers }: Request): boolean {
  const { pathname, searchParams, host } = new URL(url);
  const hash = (text: string) =>
    createHash("sha256").update(text).digest("hex");
  const time = headers.get("x-amz-date") ?? "";
  const content = headers.get("x-amz-content-sha256") ?? "";
  searchParams.sort();
  const request = [
    method,
    pathname,
    searchParams.toString(),
    `host:${host}`,
    `x-amz-content-sha256:${content}`,
    `x-amz-date:${time}`,
    "",
    "host;x-amz-content-sha256;x-amz-date",
    content,
  ].join("\n");
  const scope = [time.slice(0, 8), "us-east-1", "s3", "aws4_request"];
  const text = `AWS4-HMAC-SHA256\n${time}\n${scope.join("/")}\n${hash(request)}`;
  const signature = [...scope, text]
    .reduce<string | Buffer>(
      (key, part) => createHmac("sha256", key).update(part).digest(),
      "AWS4hush",
    )
    .toString("hex");
  return (
    headers.get("authorization") ===
    `AWS4-HMAC-SHA256 Credential=key/${scope.join("/")}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${signature}`
  );
}

/** 800 minutes of each of many symbols, packed. */
function minutesOf(day: string, symbols: number): Buffer {
  const start = Date.parse(`${day}T08:00:00Z`) / 1000;
  const rows: string[] = [];
  for (let symbol = 0; symbol < symbols; symbol++)
    for (let minute = 0; minute < 800; minute++) {
      const price = 100 + ((symbol * 7919 + minute * 104_729) % 10_000) / 100;
      rows.push(
        `S${symbol},${100 + ((minute * 37 + symbol) % 9000)},${price},${price},${price},${price},${start + minute * 60}000000000,${1 + ((minute * symbol) % 300)}\n`,
      );
    }
  return gzipSync(rows.join(""), { level: 1 });
}

async function readInProcess(
  access: FlatFilesAccess,
  day: string,
): Promise<{ rows: number; bytesMax: number; batchLengthMax: number }> {
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "readDayFile.ts"),
      JSON.stringify(access),
      day,
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  return JSON.parse(await child.stdout.text());
}

describe("a store that", () => {
  const CONTENT = fileOf(
    ...Array.from({ length: 3000 }, (_, minute) => row("AAPL", minute % 600)),
  );
  const FILE = { key: KEY, etag: '"v1"' };

  type Handler = (
    request: Request,
    number: number,
  ) => Response | Promise<Response>;

  async function withStore<Result>(
    handler: Handler,
    work: (access: FlatFilesAccess, log: string[]) => Promise<Result>,
  ): Promise<Result> {
    const log: string[] = [];
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const { pathname } = new URL(request.url);
        const range = request.headers.get("range");
        const fault = isSigned(request) ? null : "with a wrong signature";
        log.push(
          [request.method, pathname, range, fault]
            .filter((each) => each !== null)
            .join(" "),
        );
        return handler(request, log.length);
      },
    });
    try {
      return await work(accessTo(server.port ?? 0), log);
    } finally {
      await server.stop(true);
    }
  }

  const accessTo = (port: number): FlatFilesAccess => ({
    endpoint: `http://127.0.0.1:${port}`,
    bucket: "flatfiles",
    accessKey: "key",
    secretKey: "hush",
  });
  const find = (access: FlatFilesAccess) =>
    polygonFiles(access).find("stock", DAY, BACKFILL);
  const xml = (body: string, status = 200) =>
    new Response(`<?xml version="1.0" encoding="UTF-8"?>${body}`, {
      status,
      headers: { "content-type": "application/xml" },
    });
  const listing = (...keys: string[]) =>
    xml(
      `<ListBucketResult><Name>flatfiles</Name><KeyCount>${keys.length}</KeyCount><IsTruncated>false</IsTruncated>${keys.map((key) => `<Contents><Key>${key}</Key><ETag>"v1"</ETag><Size>1</Size></Contents>`).join("")}</ListBucketResult>`,
    );
  const denied = (code: string, status = 403) =>
    xml(`<Error><Code>${code}</Code><Message>no</Message></Error>`, status);
  const forbidden = () => new Response(null, { status: 403 });

  /** Serves the content, which it cuts off behind so many bytes of each transfer; then it answers by script. */
  async function withBreakingStore(
    cuts: readonly number[],
    afterwards: (from: number) => {
      status: number;
      etag: string;
      content: Uint8Array;
    },
    work: (access: FlatFilesAccess, ranges: string[]) => Promise<void>,
  ): Promise<void> {
    const ranges: string[] = [];
    const server = createServer(({ headers }, response) => {
      const { range = "" } = headers;
      const from = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
      const cut = cuts[ranges.push(range) - 1];
      if (cut === undefined) {
        const { status, etag, content } = afterwards(from);
        response.writeHead(status, { etag, "content-length": content.length });
        response.end(content);
        return;
      }
      const rest = CONTENT.subarray(from);
      response.writeHead(from > 0 ? 206 : 200, {
        etag: FILE.etag,
        "content-length": rest.length,
      });
      response.write(rest.subarray(0, cut));
      setTimeout(() => response.destroy(), 20);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string")
      throw new Error("it has no port");
    try {
      await work(accessTo(address.port), ranges);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  test("forbids to look, but lists the file, has it in another plan", async () => {
    await withStore(
      ({ method }) => (method === "HEAD" ? forbidden() : listing(KEY)),
      async (access) => {
        expect(await failureOf(find(access))).toEqual({
          failure: "rejected",
          message: `the plan does not include ${KEY}`,
        });
      },
    );
  });

  test("forbids to look, and does not list the file, does not have it yet", async () => {
    await withStore(
      ({ method }) => (method === "HEAD" ? forbidden() : listing()),
      async (access, log) => {
        expect(await find(access)).toBeUndefined();
        expect(log).toEqual([`HEAD /flatfiles/${KEY}`, "GET /flatfiles/"]);
      },
    );
  });

  test.each([
    "AccessDenied",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "RequestTimeTooSkewed",
  ])("forbids to look and to list refuses the key: %s", async (code) => {
    await withStore(
      ({ method }) => (method === "HEAD" ? forbidden() : denied(code)),
      async (access) => {
        expect(await failureOf(find(access))).toEqual({
          failure: "refused",
          message: `the key for day files is refused: ${code}`,
        });
      },
    );
  });

  test.each([
    [
      "AccessDenied",
      403,
      { failure: "rejected", message: `the plan does not include ${KEY}` },
    ],
    [
      "SignatureDoesNotMatch",
      403,
      {
        failure: "refused",
        message: `403 from the store of ${KEY}: SignatureDoesNotMatch`,
      },
    ],
    [
      "NoSuchKey",
      404,
      { failure: "absent", message: `404 from the store of ${KEY}: NoSuchKey` },
    ],
    [
      "InvalidRequest",
      400,
      {
        failure: "rejected",
        message: `400 from the store of ${KEY}: InvalidRequest`,
      },
    ],
  ])("refuses to send (%s) is asked once", async (code, status, expected) => {
    await withStore(
      () => denied(code, status),
      async (access, log) => {
        expect(await failureOf(read(access, FILE))).toEqual(expected);
        expect(log).toEqual([`GET /flatfiles/${KEY}`]);
      },
    );
  });

  test("is not well is asked again", async () => {
    await withStore(
      (_request, number) =>
        number === 1
          ? denied("SlowDown", 503)
          : new Response(null, { headers: { etag: FILE.etag } }),
      async (access, log) => {
        expect(await find(access)).toEqual(FILE);
        expect(log).toHaveLength(2);
      },
    );
  });

  test("breaks off is asked for the rest, and no row is lost or comes twice", async () => {
    await withBreakingStore(
      [1000, 2000],
      (from) => ({
        status: 206,
        etag: FILE.etag,
        content: CONTENT.subarray(from),
      }),
      async (access, ranges) => {
        const { batches, malformed } = await read(access, FILE);
        expect([batches.flat().length, malformed]).toEqual([3000, []]);
        expect(ranges).toEqual(["", "bytes=1000-", "bytes=3000-"]);
      },
    );
  });

  test("has another version when it is asked for the rest has replaced the file", async () => {
    await withBreakingStore(
      [4000],
      () => ({ status: 206, etag: '"v2"', content: CONTENT }),
      async (access) => {
        expect(await failureOf(read(access, FILE))).toEqual({
          failure: "absent",
          message: `${KEY} was replaced after it was found`,
        });
      },
    );
  });

  test("sends all of it when it is asked for the rest is not believed", async () => {
    await withBreakingStore(
      [4000],
      () => ({ status: 200, etag: FILE.etag, content: CONTENT }),
      async (access) => {
        expect(await failureOf(read(access, FILE))).toEqual({
          failure: "rejected",
          message: `${KEY} cannot be taken up where it broke off`,
        });
      },
    );
  });

  test("calls the file a gzipped answer is read all the same", async () => {
    await withStore(
      () =>
        new Response(CONTENT, {
          headers: { etag: FILE.etag, "content-encoding": "gzip" },
        }),
      async (access) => {
        const { batches } = await read(access, FILE);
        expect(batches.flat()).toHaveLength(3000);
      },
    );
  });

  test("is still sending is hung up on when nobody wants the file any more", async () => {
    const hungUp = Promise.withResolvers<void>();
    const leaving = new AbortController();
    await withStore(
      ({ signal }) => {
        signal.addEventListener("abort", () => hungUp.resolve());
        let isSent = false;
        const body = new ReadableStream({
          pull(controller) {
            if (isSent) return new Promise(() => {});
            isSent = true;
            controller.enqueue(CONTENT.subarray(0, 4000));
            leaving.abort(new Error("leaving"));
            return undefined;
          },
        });
        return new Response(body, { headers: { etag: '"v1"' } });
      },
      async (access) => {
        const reading = read(access, FILE, { signal: leaving.signal });
        await expect(reading).rejects.toThrow("leaving");
        await hungUp.promise;
      },
    );
  });

  test("is still sending is hung up on by whoever has seen enough", async () => {
    const hungUp = Promise.withResolvers<void>();
    await withStore(
      ({ signal }) => {
        signal.addEventListener("abort", () => hungUp.resolve());
        const body = new ReadableStream({
          start(controller) {
            controller.enqueue(gzipSync(`${HEADER}\n`));
            controller.enqueue(minutesOf(DAY, 10));
          },
        });
        return new Response(body, { headers: { etag: FILE.etag } });
      },
      async (access) => {
        const bars = polygonFiles(access).bars(
          FILE,
          { assetClass: "stock", day: DAY },
          { ...BACKFILL, onMalformed: () => {} },
        );
        for await (const batch of bars) {
          expect(batch.length).toBeGreaterThan(4000);
          break;
        }
        await hungUp.promise;
      },
    );
  });

  test("falls silent is hung up on, and asked for the rest", async () => {
    const ranges: (string | null)[] = [];
    await withStore(
      ({ headers, url }) => {
        // The clock stands still, so that a question is what passes the time.
        if (new URL(url).pathname === "/time") return new Response();
        ranges.push(headers.get("range"));
        if (ranges.length === 2)
          return new Response(CONTENT.subarray(1000), {
            status: 206,
            headers: { etag: FILE.etag },
          });
        const body = new ReadableStream({
          start: (controller) => controller.enqueue(CONTENT.subarray(0, 1000)),
        });
        return new Response(body, { headers: { etag: FILE.etag } });
      },
      async (access) => {
        jest.useFakeTimers();
        try {
          let isRead = false;
          const reading = read(access, FILE).finally(() => (isRead = true));
          for (let seconds = 0; !isRead && seconds < 300; seconds++) {
            await fetch(`${access.endpoint}/time`);
            jest.advanceTimersByTime(SECOND);
          }
          expect((await reading).batches.flat()).toHaveLength(3000);
          expect(ranges).toEqual([null, "bytes=1000-"]);
        } finally {
          jest.useRealTimers();
        }
      },
    );
  });

  test("is not there is not waited for when nobody wants the file any more", async () => {
    const access = await withStore(
      () => new Response(),
      async (each) => each,
    );
    const leaving = new AbortController();
    const finding = polygonFiles(access).find("stock", DAY, {
      ...BACKFILL,
      signal: leaving.signal,
    });
    leaving.abort(new Error("leaving"));
    await expect(finding).rejects.toThrow("leaving");
  });
});
