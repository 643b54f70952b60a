/** What may happen to any answer by REST on its way: it is late, a gateway's, or cut in the middle. */
import { sleep } from "../../clock.ts";
import type { FaultBoard } from "./faults.ts";

/** Until the half that is sent has left. */
const CUT_AFTER_MS = 20;

/** Answers as the faults of the account let it; `cut` ends the connection. */
export async function behindFaults(
  faults: FaultBoard,
  account: string,
  cut: () => void,
  answered: () => Response | Promise<Response>,
): Promise<Response> {
  const latency = faults.strikes("rest-latency", account);
  if (latency !== undefined) await sleep(latency.byMs);
  if (faults.strikes("rest-500", account)) return gatewayPage();
  const answer = await answered();
  return faults.strikes("rest-cut", account)
    ? await cutShort(answer, cut)
    : answer;
}

export function gatewayPage(): Response {
  return new Response(
    "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>",
    { status: 502, headers: { "Content-Type": "text/html" } },
  );
}

/** Half of the body, and then the connection is gone. */
export async function cutShort(
  response: Response,
  cut: () => void,
): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  let timer: ReturnType<typeof setTimeout>;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.subarray(0, Math.floor(bytes.length / 2)));
      timer = setTimeout(cut, CUT_AFTER_MS);
    },
    cancel: () => clearTimeout(timer),
  });
  const { status, headers } = response;
  return new Response(body, { status, headers });
}
