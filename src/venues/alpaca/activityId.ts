/**
 * The venue's own name for a fill, made from what the stream says of it, so that
 * a row written from the stream and the same row read back by REST have one id.
 *
 * The venue rounds nanoseconds to the nearest microsecond first and then cuts to
 * milliseconds (six of six recorded pairs; a fraction of .xxx9995 or more thus
 * rolls into the next millisecond), and shows the result in New York's time.
 */
import { newYorkStamp } from "../../../schema/instant.ts";

/** `YYYYMMDDHHMMSSmmm::<execution id>` of an execution at `micros` since the epoch. */
export function activityId(micros: number, executionId: string): string {
  return `${newYorkStamp(micros)}::${executionId}`;
}
