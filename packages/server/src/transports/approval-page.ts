/** The page behind a link: one call that waits, as people read it. No script, nothing from elsewhere, and every text escaped. Pure. */

import { createHash } from 'node:crypto'
import { spelledOut } from '@doorward/core'
import type { ApprovalRequest } from '@doorward/enforcement'

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.4rem}dt{font-weight:600}dd{margin:0 0 .6rem;overflow-wrap:anywhere}
pre{background:#f3f3f3;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}
button{font:inherit;padding:.5rem 1.2rem;margin:.8rem .6rem 0 0;cursor:pointer}
input[name=reason]{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}
.risk{font-weight:600;color:#8a1c00}`

const styleHash = createHash('sha256').update(style).digest('base64')

/** Nothing is loaded or run, nobody frames it, and its form goes nowhere else. With `no-referrer` browsers would not say where a form is from. */
export const approvalPageHeaders: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'X-Robots-Tag': 'noindex',
}

const effects: Readonly<Record<string, string>> = {
  read: 'It counts as reading.',
  write: 'It changes something.',
  admin: 'It administers something.',
}

/** `token` is what the form has to bring back. Its first button is what the enter key presses: that is no. */
export function approvalPage(request: ApprovalRequest, group: string, token: string): string {
  const { id, caller, action, resource, shown, duties, expires, digest } = request
  const rules = duties.flatMap((duty) => duty.rules)
  return page(
    'Approve this call?',
    `<p class="risk">${escaped(effects[action.group] ?? action.group)} You answer in the name of ${escaped(group)}, for exactly this one call.</p>
<dl>
<dt>Who</dt><dd>${escaped(caller['caller'])}</dd>
<dt>What</dt><dd>${escaped(`${action.name} ${resource.server}/${resource.name}`)}</dd>
<dt>Asked for by</dt><dd>${escaped(rules.join(', '))}</dd>
<dt>Until</dt><dd>${escaped(new Date(expires).toISOString())}</dd>
<dt>Request</dt><dd>${escaped(id)}, digest ${escaped(digest)}</dd>
</dl>
<p>With:</p>
<pre>${escaped(JSON.stringify(shown, null, 2))}</pre>
<form method="post">
<input type="hidden" name="token" value="${escaped(token)}">
<label>Why (for the record)<input name="reason" maxlength="500" autocomplete="off"></label>
<button name="decision" value="deny">Deny it</button>
<button name="decision" value="approve">Approve this call</button>
</form>`,
  )
}

/** What became of the answer. */
export function answeredPage(text: string): string {
  return page(text, '<p>You can close this page.</p>')
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${style}</style></head>
<body><h1>${escaped(title)}</h1>
${body}
</body></html>
`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Whatever nobody sees is spelled out, and nothing is markup; line ends stay. */
function escaped(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  const lines = text.split('\n').map((line) => spelledOut(line))
  return lines.join('\n').replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}
