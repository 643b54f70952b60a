/** The store of day files, as far as S3 is needed to read them: heads, whole files and parts of them, lists; path style. */
import type { FaultBoard } from "../faults.ts";
import { behindFaults } from "../restFaults.ts";
import type { DayFile, DayFileShelf } from "./dayFiles.ts";
import type { PolygonPlan } from "./plans.ts";
import { POLYGON } from "./rest.ts";
import { faultOf, type SignatureFault, type StoreKey } from "./signature.ts";

/** What the venue keeps its day files in. */
export const BUCKET = "flatfiles";
const KEYS_MAX = 1_000;

export interface StoreFace {
  readonly shelf: DayFileShelf;
  readonly key: StoreKey;
  readonly plan: PolygonPlan;
  readonly faults: FaultBoard;
}

export function isStore(pathname: string): boolean {
  return pathname === `/${BUCKET}` || pathname.startsWith(`/${BUCKET}/`);
}

/** Answers one request; `cut` ends its connection. */
export async function answerStore(
  face: StoreFace,
  request: Request,
  cut: () => void,
): Promise<Response> {
  return behindFaults(face.faults, POLYGON, cut, () => answered(face, request));
}

function answered(face: StoreFace, request: Request): Response {
  const { method, headers } = request;
  const { pathname, searchParams } = new URL(request.url);
  // Whoever signs goes by the clock on the wall, not by the market's.
  const fault = face.faults.strikes("auth-refused", POLYGON)
    ? "AccessDenied"
    : faultOf(request, face.key, Date.now());
  if (fault !== undefined) return refused(method, 403, fault, FAULTS[fault]);
  if (method !== "GET" && method !== "HEAD")
    return refused(method, 405, "MethodNotAllowed", "Not allowed here.");
  const key = decodeURIComponent(pathname.slice(BUCKET.length + 2));
  if (key === "") return list(face.shelf, searchParams);
  // Of what a plan does not include, files are listed and not given.
  if (!face.plan.hasFiles)
    return refused(method, 403, "AccessDenied", FAULTS.AccessDenied);
  const file = face.shelf.find(key);
  if (file === undefined)
    return refused(method, 404, "NoSuchKey", "The key does not exist.");
  return given(file, method, headers);
}

const FAULTS: Readonly<Record<SignatureFault, string>> = {
  AccessDenied: "Access Denied",
  InvalidAccessKeyId:
    "The AWS Access Key Id you provided does not exist in our records.",
  SignatureDoesNotMatch:
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
  RequestTimeTooSkewed:
    "The difference between the request time and the current time is too large.",
  AuthorizationHeaderMalformed:
    "The authorization header that you provided is not valid.",
};

function given(
  { bytes, etag, modifiedMs }: DayFile,
  method: string,
  headers: Headers,
): Response {
  const about = {
    ETag: etag,
    "Accept-Ranges": "bytes",
    "Last-Modified": new Date(modifiedMs).toUTCString(),
  };
  const wanted = headers.get("If-Match");
  if (wanted !== null && wanted !== "*" && bare(wanted) !== bare(etag))
    return refused(
      method,
      412,
      "PreconditionFailed",
      "At least one of the pre-conditions you specified did not hold",
    );
  const known = headers.get("If-None-Match");
  if (known !== null && bare(known) === bare(etag))
    return new Response(null, { status: 304, headers: about });
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get("Range") ?? "");
  const from = Number(range?.[1] ?? 0);
  const last = range?.[2] ? Number(range[2]) : bytes.length - 1;
  const to = Math.min(last, bytes.length - 1) + 1;
  if (range !== null && from >= to)
    return refused(method, 416, "InvalidRange", "Not satisfiable.");
  const part = bytes.subarray(from, to);
  return new Response(method === "HEAD" ? null : part, {
    status: range === null ? 200 : 206,
    headers: {
      ...about,
      "Content-Type": "application/gzip",
      "Content-Length": String(part.length),
      ...(range !== null && {
        "Content-Range": `bytes ${from}-${to - 1}/${bytes.length}`,
      }),
    },
  });
}

function bare(etag: string): string {
  return etag.replaceAll('"', "");
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, without folders. */
function list(shelf: DayFileShelf, query: URLSearchParams): Response {
  const prefix = query.get("prefix") ?? "";
  const after =
    query.get("continuation-token") ?? query.get("start-after") ?? "";
  const asked = Number(query.get("max-keys") ?? KEYS_MAX);
  const keysMax = Math.min(Number.isInteger(asked) ? asked : 0, KEYS_MAX);
  const keys: string[] = [];
  let isTruncated = false;
  for (const key of shelf.keys(prefix, after)) {
    isTruncated = keys.length === keysMax;
    if (isTruncated) break;
    keys.push(key);
  }
  return xml(200, [
    `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`,
    `<Name>${BUCKET}</Name><Prefix>${escaped(prefix)}</Prefix>`,
    `<KeyCount>${keys.length}</KeyCount><MaxKeys>${keysMax}</MaxKeys>`,
    `<IsTruncated>${isTruncated}</IsTruncated>`,
    ...(isTruncated
      ? [`<NextContinuationToken>${keys.at(-1) ?? ""}</NextContinuationToken>`]
      : []),
    ...keys.map((key) => contentsOf(shelf.find(key))),
    `</ListBucketResult>`,
  ]);
}

function contentsOf(file: DayFile | undefined): string {
  if (file === undefined) return "";
  const { key, bytes, etag, modifiedMs } = file;
  return [
    `<Contents><Key>${key}</Key>`,
    `<LastModified>${new Date(modifiedMs).toISOString()}</LastModified>`,
    `<ETag>${escaped(etag)}</ETag><Size>${bytes.length}</Size>`,
    `<StorageClass>STANDARD</StorageClass></Contents>`,
  ].join("");
}

/** An answer to HEAD has no words. */
function refused(
  method: string,
  status: number,
  code: string,
  message: string,
): Response {
  if (method === "HEAD") return new Response(null, { status });
  return xml(status, [
    `<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  ]);
}

function xml(status: number, parts: readonly string[]): Response {
  return new Response(
    ['<?xml version="1.0" encoding="UTF-8"?>', ...parts].join("\n"),
    { status, headers: { "Content-Type": "application/xml" } },
  );
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll('"', "&quot;");
}
