/** nginx with mutual TLS on both sides, in one process: another proxy that decides nothing. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { HaproxyOptions } from './haproxy.ts'

export interface Nginx {
  readonly pid: number
  close(): Promise<void>
}

const START_ATTEMPTS = 100
const ATTEMPT_MILLISECONDS = 50

/** An installed one, else what `.ci/run` has unpacked; null where there is none. */
export function nginxProgram(): string | null {
  if (spawnSync('nginx', ['-v']).error === undefined) return 'nginx'
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const unpacked = join(cache, 'doorward', 'proxies', 'usr/sbin/nginx')
  return existsSync(unpacked) ? unpacked : null
}

/** Null where there is none; an error where it does not listen. */
export async function startNginx(folder: string, options: HaproxyOptions): Promise<Nginx | null> {
  const program = nginxProgram()
  if (program === null) return null
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'nginx.conf')
  await writeFile(file, configuration(folder, options), { mode: 0o600 })
  const child = spawn(program, ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (part: Buffer) => void (output = `${output}${part.toString()}`.slice(-4000)))
  const ended = once(child, 'close')
  const close = async () => {
    child.kill('SIGTERM')
    await ended
  }
  for (let attempt = 0; attempt < START_ATTEMPTS && child.exitCode === null; attempt++) {
    if (await accepts(options.port)) return { pid: child.pid ?? 0, close }
    await delay(ATTEMPT_MILLISECONDS)
  }
  await close()
  throw new Error(`nginx does not listen on port ${options.port}: ${output}`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false)).once('connect', () => (socket.destroy(), resolve(true)))
  })
}

/** It cannot check a chain without a name, and our certificates have none: towards the server it shows its own alone. */
function configuration(
  folder: string,
  { port, upstreamPort, serverPem, clientPem, anchorsPem }: HaproxyOptions,
): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ')}
  keepalive_requests 10000000;
  upstream servers {
    server 127.0.0.1:${upstreamPort};
    keepalive 128;
    keepalive_requests 10000000;
  }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate ${serverPem};
    ssl_certificate_key ${serverPem};
    ssl_client_certificate ${anchorsPem};
    ssl_verify_client on;
    ssl_session_cache off;
    ssl_session_tickets off;
    location / {
      proxy_pass https://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_certificate ${clientPem};
      proxy_ssl_certificate_key ${clientPem};
    }
  }
}
`
}
