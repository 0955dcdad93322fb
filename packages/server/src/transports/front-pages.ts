/** What people see of the front: one form, and where it leads. No script, nothing from elsewhere, every text escaped. Pure. */

import { createHash } from 'node:crypto'
import { spelledOut } from '@doorward/core'

const style = `:root{color-scheme:light dark;--ink:#1b1f24;--quiet:#57606a;--paper:#fff;--ground:#f3f4f6;--line:#d0d7de;--act:#0b5cad;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9da7b3;--paper:#161b22;--ground:#0d1117;--line:#3d444d;--act:#58a6ff;--on:#0d1117}}
body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:2rem 1rem;color:var(--ink);background:var(--ground)}
main{max-width:34rem;margin:0 auto;padding:1.6rem 2rem 1.8rem;background:var(--paper);border:1px solid var(--line);border-radius:12px}
h1{font-size:1.4rem;line-height:1.3;margin:0 0 .8rem}p{margin:0 0 1rem}
dl{margin:0 0 1.4rem;border-top:1px solid var(--line)}dt{margin-top:.8rem;color:var(--quiet);font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}
small{display:block;color:var(--quiet)}form{display:flex;flex-wrap:wrap;gap:.8rem;margin:0 0 1.2rem}
button{font:inherit;font-weight:600;min-width:8rem;padding:.6rem 1.4rem;border:1px solid var(--line);border-radius:8px;color:var(--ink);background:var(--paper);cursor:pointer}
button[value=allow]{color:var(--on);background:var(--act);border-color:var(--act)}a{color:var(--act)}
button:focus-visible,a:focus-visible{outline:3px solid var(--act);outline-offset:2px}p:last-child{margin:0;color:var(--quiet)}`

const styleHash = createHash('sha256').update(style).digest('base64')

/** Nothing is loaded, framed or run, and the form goes to us alone. With `no-referrer` it would not say where it is from. */
export const frontPageHeaders: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  'X-Robots-Tag': 'noindex',
}

export interface ConsentView {
  readonly client: string
  readonly redirectUri: string
  /** The server: its URL, and what configuration calls it. */
  readonly resource: { readonly url: string; readonly name: string }
  /** What the client may do at most; null where scopes narrow nothing, and would promise what nobody keeps. */
  readonly scopes: readonly string[] | null
  /** `<issuer>#<subject>`. */
  readonly user: string
  /** What the form has to bring back. */
  readonly token: string
}

/** Its first button is what the enter key presses: that is no. */
export function consentPage({ client, redirectUri, resource, scopes, user, token }: ConsentView): string {
  const { protocol, host } = new URL(redirectUri)
  const at = user.indexOf('#')
  return page(
    `Let ${client} use ${resource.name} for you?`,
    `<p><strong>${escaped(client)}</strong> wants to use <strong>${escaped(resource.name)}</strong> in your name. There it may do ${allowed(scopes)}.</p>
<dl>
<dt>You are</dt><dd>${escaped(user.slice(at + 1))}<small>signed in at ${escaped(user.slice(0, at))}</small></dd>
<dt>What it wants to use</dt><dd>${escaped(resource.url)}</dd>
<dt>The answer goes to</dt><dd>${protocol === 'https:' ? escaped(host) : `${escaped(`${protocol}//${host}`)}<small>a program on your own device</small>`}</dd>
</dl>
<form method="post" action="/consent">
<input type="hidden" name="token" value="${escaped(token)}">
<button name="decision" value="deny">No</button>
<button name="decision" value="allow">Allow</button>
</form>
<p>Answer no if you have not started this yourself.</p>`,
  )
}

function allowed(scopes: ConsentView['scopes']): string {
  if (scopes === null) return 'whatever you may do'
  if (scopes.length === 0) return 'nothing'
  return `what you may do, and at most <strong>${escaped(scopes.join(', '))}</strong>`
}

/** No redirect after a form: `form-action` would have to name wherever clients are. */
export function onwardPage(url: URL): string {
  const href = escaped(url.href)
  return page(
    'Done',
    `<p><a href="${href}">Go on to ${escaped(url.host || url.protocol)}</a></p>`,
    `<meta http-equiv="refresh" content="0; url=${href}">`,
  )
}

/** After a no to a client that nobody vouches for: whether it is told so is for the person to say (RFC 9700 §4.11.2). */
export function choicePage(url: URL): string {
  const where = escaped(url.host || url.protocol)
  return page(
    'Nothing was allowed',
    `<p>You can close this page.</p><p><a href="${escaped(url.href)}">Tell ${where} that you said no</a></p>`,
  )
}

export function refusedPage(text: string): string {
  return page(
    'Not signed in',
    `<p>${escaped(text)}.</p><p>Go back to the program that sent you here, and try again.</p>`,
  )
}

function page(title: string, body: string, more = ''): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>${more}<style>${style}</style></head>
<body><main><h1>${escaped(title)}</h1>
${body}
</main></body></html>
`
}

/** Whatever nobody sees is spelled out, and nothing is markup. */
function escaped(text: string): string {
  return spelledOut(text).replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}
