/** What the page calls what is measured. */

import type { VariantName } from '../system.ts'
import type { StepName } from './numbers.ts'

/** Of a row. */
export const nameOf: Readonly<Record<VariantName, string>> = {
  direct: 'no proxy: the server itself',
  listener: 'our listener alone',
  tls: 'TLS, forwarding blindly',
  blind: '+ certificate of the caller',
  token: '+ token, bound to it',
  policy: '+ policy',
  limits: '+ limits',
  record: '+ durable record',
  full: '+ MCP checks: the gateway',
  haproxy: 'HAProxy, mutual TLS',
  nginx: 'nginx, mutual TLS',
  stdio: 'the gateway, every control',
  'mcp-proxy': 'mcp-proxy, no control',
  supergateway: 'supergateway, no control',
}

/** What a step adds to the one before it. */
export const addedBy: Readonly<Record<StepName, string>> = {
  tls: 'TLS 1.3 and HTTP towards the caller, who shows no certificate; mutual TLS towards the server',
  blind: 'the caller shows a certificate of the trust domain, or there is no connection',
  token:
    'a token of the authority on every call, bound to that certificate; both judged by the trust state of now, and how often this caller calls',
  policy: 'Cedar decides about tool and server, as the route alone names them',
  limits: 'calls of the address and of all, and a quota of the caller on this tool',
  record: 'the decision is on the disk before the call goes on, and its outcome follows',
  full: 'the gateway as it is shipped: the body is read strictly and decides, sessions, answers are judged, definitions, metrics, its log',
}
