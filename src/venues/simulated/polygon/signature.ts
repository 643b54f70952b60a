/**
 * Signatures of requests to a store that speaks S3 (AWS Signature Version 4), in
 * the header or in the address, reckoned again and compared.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { MINUTE, SECOND } from "../../../clock.ts";

export interface StoreKey {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** What is wrong with a request, in the store's words. */
export type SignatureFault =
  | "AccessDenied"
  | "InvalidAccessKeyId"
  | "SignatureDoesNotMatch"
  | "RequestTimeTooSkewed"
  | "AuthorizationHeaderMalformed";

const ALGORITHM = "AWS4-HMAC-SHA256";
const SKEW_MS_MAX = 15 * MINUTE;

interface Signed {
  readonly accessKey: string;
  /** `20260916/us-east-1/s3/aws4_request`. */
  readonly scope: string;
  readonly headers: readonly string[];
  readonly signature: string;
  /** `20260916T140000Z`. */
  readonly date: string;
  readonly payloadHash: string;
  readonly validMs: number;
}

/** Undefined when the signature is right. `nowMs`: by the clock on the wall. */
export function faultOf(
  request: Request,
  { accessKey, secretKey }: StoreKey,
  nowMs: number,
): SignatureFault | undefined {
  const url = new URL(request.url);
  const signed = readSigned(request.headers, url.searchParams);
  if (typeof signed === "string") return signed;
  if (signed.accessKey !== accessKey) return "InvalidAccessKeyId";
  const expected = Buffer.from(signatureOf(request, url, signed, secretKey));
  const actual = Buffer.from(signed.signature);
  if (expected.length !== actual.length || !timingSafeEqual(expected, actual))
    return "SignatureDoesNotMatch";
  const agoMs = nowMs - msOf(signed.date);
  // A signed address that is too old is refused in other words than a clock that is wrong.
  if (agoMs > signed.validMs && isInAddress(url)) return "AccessDenied";
  return Math.abs(agoMs) <= Math.max(signed.validMs, SKEW_MS_MAX)
    ? undefined
    : "RequestTimeTooSkewed";
}

function isInAddress({ searchParams }: URL): boolean {
  return searchParams.has("X-Amz-Signature");
}

function readSigned(
  headers: Headers,
  query: URLSearchParams,
): Signed | SignatureFault {
  const header = headers.get("Authorization");
  const read = (name: string) => query.get(`X-Amz-${name}`) ?? "";
  const [, credential = "", names = "", signature = ""] =
    header === null
      ? ["", read("Credential"), read("SignedHeaders"), read("Signature")]
      : (/^AWS4-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([^, ]+)$/.exec(
          header,
        ) ?? []);
  if (header === null && signature === "") return "AccessDenied";
  if (signature === "" || !headersAreSigned(names))
    return "AuthorizationHeaderMalformed";
  const [accessKey = "", ...scope] = credential.split("/");
  return {
    accessKey,
    scope: scope.join("/"),
    headers: names.split(";"),
    signature,
    date: (header === null ? read("Date") : headers.get("X-Amz-Date")) ?? "",
    payloadHash: headers.get("X-Amz-Content-Sha256") ?? "UNSIGNED-PAYLOAD",
    validMs: header === null ? Number(read("Expires")) * SECOND : SKEW_MS_MAX,
  };
}

/** The host has to be among them, or the request could be sent to another. */
function headersAreSigned(names: string): boolean {
  return names.split(";").includes("host");
}

function signatureOf(
  { method, headers }: Request,
  { pathname, searchParams }: URL,
  signed: Signed,
  secretKey: string,
): string {
  const canonical = [
    method,
    pathname
      .split("/")
      .map((part) => encoded(decodeURIComponent(part)))
      .join("/"),
    canonicalQuery(searchParams),
    ...signed.headers.map(
      (name) =>
        `${name}:${(headers.get(name) ?? "").trim().replace(/ +/g, " ")}`,
    ),
    "",
    signed.headers.join(";"),
    signed.payloadHash,
  ].join("\n");
  const toSign = [
    ALGORITHM,
    signed.date,
    signed.scope,
    new Bun.CryptoHasher("sha256").update(canonical).digest("hex"),
  ].join("\n");
  let key: Buffer = Buffer.from(`AWS4${secretKey}`);
  for (const part of signed.scope.split("/"))
    key = createHmac("sha256", key).update(part).digest();
  return createHmac("sha256", key).update(toSign).digest("hex");
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort()
    .join("&");
}

/** Everything but letters, digits and `-._~`. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** NaN, and so too old, for what is no date. */
function msOf(date: string): number {
  return Date.parse(
    date.replace(
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
      "$1-$2-$3T$4:$5:$6Z",
    ),
  );
}
