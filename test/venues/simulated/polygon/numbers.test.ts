/** Numbers, digit by digit, and signatures by the example that their inventor published. */
import { expect, test } from "bun:test";
import {
  decimalText,
  nanoseconds,
  written,
} from "../../../../src/venues/simulated/polygon/numbers.ts";
import { faultOf } from "../../../../src/venues/simulated/polygon/signature.ts";

test.each([
  [0, "0"],
  [826_300, "826300"],
  [999_999.5, "999999.5"],
  [1_000_000, "1e+06"],
  [1_029_145, "1.029145e+06"],
  [2_384_421.25, "2.38442125e+06"],
  [339_566_313, "3.39566313e+08"],
  [0.0001, "0.0001"],
  [0.000_021_5, "2.15e-05"],
  [-1_500_000, "-1.5e+06"],
  [228.31, "228.31"],
])("%d is written %s", (value, text) => {
  expect(JSON.stringify(written(value))).toBe(text);
  expect(JSON.parse(text)).toBe(value);
});

test("nanoseconds keep all their digits", () => {
  expect(JSON.stringify({ t: nanoseconds(1_789_567_200_123.5) })).toBe(
    '{"t":1789567200123500000}',
  );
});

test.each([
  [4989, "4989.0"],
  [0.019, "0.019"],
  [4_332_125.03836, "4332125.03836"],
])("%d as a decimal is %s", (value, text) => {
  expect(decimalText(value)).toBe(text);
});

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
const KEY = {
  accessKey: "AKIAIOSFODNN7EXAMPLE",
  secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const AT = Date.UTC(2013, 4, 24);
const MINUTE = 60_000;

const inHeader = (signature: string, extra: Record<string, string> = {}) =>
  new Request("http://examplebucket.s3.amazonaws.com/test.txt", {
    headers: {
      Host: "examplebucket.s3.amazonaws.com",
      Range: "bytes=0-9",
      "x-amz-content-sha256":
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "x-amz-date": "20130524T000000Z",
      Authorization: `AWS4-HMAC-SHA256 Credential=${KEY.accessKey}/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=${signature}`,
      ...extra,
    },
  });
const GOOD = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
const inAddress = (expires: number) =>
  new Request(
    `https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=${expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
    { headers: { Host: "examplebucket.s3.amazonaws.com" } },
  );

test.each([
  ["the published one in the header", inHeader(GOOD), AT, "none"],
  ["the published one in the address", inAddress(86400), AT, "none"],
  ["another lifetime", inAddress(86401), AT, "SignatureDoesNotMatch"],
  [
    "a day late in the address",
    inAddress(86400),
    AT + 1441 * MINUTE,
    "AccessDenied",
  ],
  [
    "another part of the file",
    inHeader(GOOD, { Range: "bytes=0-99" }),
    AT,
    "SignatureDoesNotMatch",
  ],
  ["a shorter one", inHeader(GOOD.slice(1)), AT, "SignatureDoesNotMatch"],
  [
    "a clock that is wrong",
    inHeader(GOOD),
    AT + 16 * MINUTE,
    "RequestTimeTooSkewed",
  ],
  [
    "a date that is none",
    inHeader(GOOD, { "x-amz-date": "today" }),
    AT,
    "SignatureDoesNotMatch",
  ],
  [
    "no signature",
    new Request("http://localhost/flatfiles"),
    AT,
    "AccessDenied",
  ],
  [
    "another scheme",
    inHeader(GOOD, { Authorization: "Bearer key" }),
    AT,
    "AuthorizationHeaderMalformed",
  ],
])("a signature: %s", (_, request, nowMs, fault) => {
  expect(faultOf(request, KEY, nowMs) ?? "none").toBe(fault);
});

test("a signature of a key that nobody knows", () => {
  const other = { ...KEY, accessKey: "AKIAOTHER" };
  expect(faultOf(inHeader(GOOD), other, AT)).toBe("InvalidAccessKeyId");
});
