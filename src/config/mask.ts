/** Secrets made unreadable before anything is printed. */

export const MASK = "***";

/** A URL with the password of its user and of its query parameters masked; other text as it is. */
export function maskUrl(text: string): string {
  return text
    .replace(/(:\/\/[^:@/?#]*):.*@/s, `$1:${MASK}@`)
    .replace(
      /([?&][^=&]*(?:password|passwd|secret|token|key)[^=&]*=)[^&]*/gi,
      `$1${MASK}`,
    );
}
