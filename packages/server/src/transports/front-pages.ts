/** What people see of the front: one form, and where it leads. No script, nothing from elsewhere, every text escaped. Pure. */

import { createHash } from 'node:crypto'
import { spelledOut } from '@doorward/core'

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.4rem}dt{font-weight:600}dd{margin:0 0 .6rem;overflow-wrap:anywhere}
button{font:inherit;padding:.5rem 1.2rem;margin:.8rem .6rem 0 0;cursor:pointer}`

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
  readonly resource: string
  readonly scopes: readonly string[]
  readonly user: string
  /** What the form has to bring back. */
  readonly token: string
}

/** Its first button is what the enter key presses: that is no. */
export function consentPage({ client, redirectUri, resource, scopes, user, token }: ConsentView): string {
  const { protocol, host } = new URL(redirectUri)
  const where = protocol === 'https:' ? host : `${protocol}//${host} (a program on your own device)`
  return page(
    `Let ${client} act for you?`,
    `<p><strong>${escaped(client)}</strong> wants to call <strong>${escaped(resource)}</strong> in your name. It may do there what you may do there, and nothing else.</p>
<dl>
<dt>You</dt><dd>${escaped(user)}</dd>
<dt>Asked for</dt><dd>${escaped(scopes.join(', ') || 'no scope')}</dd>
<dt>The answer goes to</dt><dd>${escaped(where)}</dd>
</dl>
<form method="post" action="/consent">
<input type="hidden" name="token" value="${escaped(token)}">
<button name="decision" value="deny">No</button>
<button name="decision" value="allow">Allow</button>
</form>
<p>If you did not ask for this, answer no.</p>`,
  )
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

export function refusedPage(text: string): string {
  return page(
    'Not signed in',
    `<p>${escaped(text)}.</p><p>Go back to the program that sent you here, and try again.</p>`,
  )
}

function page(title: string, body: string, more = ''): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>${more}<style>${style}</style></head>
<body><h1>${escaped(title)}</h1>
${body}
</body></html>
`
}

/** Whatever nobody sees is spelled out, and nothing is markup. */
function escaped(text: string): string {
  return spelledOut(text).replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}
