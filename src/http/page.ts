/** What all pages share: frame, style, and the headers that keep anything foreign out of them. */
import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import { secureHeaders } from "hono/secure-headers";

export type Html = ReturnType<typeof html>;

/** Values in `body` are escaped where they are put in, by `html`. */
export function page(title: string, body: Html, head: Html | "" = ""): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${head} ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        ${body}
      </body>
    </html>`;
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; }
code, pre { font-family: ui-monospace, monospace; font-size: 13px; }
pre { overflow-x: auto; background: #8881; padding: .75rem; }
nav a { margin-right: 1rem; }
summary { cursor: pointer; }
.good { color: #087f3f; }
.bad { color: #c22; font-weight: 600; }
`;

/** Nothing is cached, framed or loaded from elsewhere; the one style is known by its digest. */
export const securePages = secureHeaders({
  strictTransportSecurity: false,
  xFrameOptions: "DENY",
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    styleSrc: [
      `'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
    ],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
});
