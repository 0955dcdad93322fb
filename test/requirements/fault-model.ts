/** The fault model, section 6 of the reference of threats, in its order. */

import {
  bodies,
  done,
  fullDisk,
  kills,
  partial,
  planned,
  reload,
  scan,
  shed,
  short,
  silent,
  slow,
  test,
} from './threat-proofs.ts'
import type { ThreatRow } from './threat-proofs.ts'

export const faults: readonly ThreatRow[] = [
  done('kill -9 in audit append, roll, checkpoint', kills),
  done(
    'EIO/ENOSPC on write or fsync',
    test('test/unit/enforcement/record-faults.test.ts', 'refuses what was waiting, touches the descriptor no more'),
    fullDisk,
  ),
  done(
    'Bit rot in old segment',
    test('test/unit/server/audit-fsck.test.ts', 'each of 300 flipped bits'),
    test(
      'test/unit/server/accept-damage.test.ts',
      'what is whole, what is no segment and a log that is written are refused',
    ),
  ),
  done(
    'kill -9 in CA rotation',
    test('test/scenarios/authority-rotate.test.ts', 'OP-3: no call fails while anchors and token keys are replaced'),
    test('test/unit/server/ceremony-kill.test.ts', 'kill'),
  ),
  done('kill -9 in issuance', test('test/scenarios/authority-kills.test.ts', 'loses nothing that anybody was told')),
  done(
    'Two authorities, same state',
    test('test/scenarios/authority-partition.test.ts', 'OP-12: a copied state folder is refused while the first runs'),
  ),
  done(
    'DB failover, read-only, 30s stall, deadlock, refused',
    test('test/scenarios/postgres-faults.test.ts', 'calls end in bounded time with store_unavailable'),
    test(
      'test/scenarios/postgres-failover.test.ts',
      'a store that knows both servers follows the one that takes writes',
    ),
  ),
  planned('Redis down, flushed, slow, wrong', 'counters are in the memory of each gateway'),
  done(
    'Disk full',
    fullDisk,
    test(
      'test/unit/enforcement/record-full-disk.test.ts',
      'a full disk is on record before nothing is written any more',
    ),
  ),
  done(
    'Clock step, drift',
    test('test/scenarios/clock-gateway.test.ts', 'OP-11: a gateway whose clock is set back revives neither'),
    test('test/scenarios/authority-partition.test.ts', 'OP-11: a clock that differs from the store’s is an alarm'),
  ),
  done(
    'Slow, endless or reset upstream',
    slow,
    test(short.upstream, 'five failures in a row open the circuit'),
    test('test/refusals/call-bounds.test.ts', 'a call ends with its deadline, and its server hears that nobody waits'),
    test(short.faults, 'answers and events above the limit are refused'),
  ),
  done('Authority partition', silent),
  done('Everything expired', test('test/scenarios/dark.test.ts', 'OP-2: when everything has expired on every machine')),
  done(
    'Renewal failing',
    test(
      'test/scenarios/renewal-under-load.test.ts',
      'no call fails while every certificate is replaced several times',
    ),
    test('test/scenarios/gateway-findings.test.ts', 'renewal_late: a certificate that should have been replaced'),
  ),
  partial(
    '10k idle mTLS',
    '10,000 are opened by the campaign, load-idle',
    test('test/scenarios/load.test.ts', 'idle connections disturb nobody'),
    test(short.load, 'a listener that is full closes the connection that has been idle for longest'),
  ),
  done(
    'TCP connects without TLS',
    test(short.places, 'connections without a handshake have a place like others'),
    test('test/refusals/gateway-transport-tls.test.ts', 'a handshake that never comes is ended'),
  ),
  partial(
    'TLS handshake flood',
    'times of established callers are measured by the campaign, load-handshakes',
    test('test/scenarios/load.test.ts', 'a flood of handshakes disturbs nobody'),
    test(short.limits, 'limits.handshakes_per_ip: an address is refused before the handshake'),
    shed,
  ),
  done('KeyUpdate flood', test(short.pace, 'a flood of key updates, which no request shows, ends the connection')),
  done(
    'Slow headers, body or reader',
    test(
      'test/refusals/headers-every-answer.test.ts',
      'the headers stand on the answer to a head that does not come in time',
    ),
    test(short.pace, 'a body that comes slower than a kilobyte in a second is refused'),
    test(
      'test/refusals/slow-readers.test.ts',
      'a server over HTTP waits for a caller of the legacy era that does not read',
    ),
    test('test/refusals/slow-readers.test.ts', 'a process waits for a caller that does not read'),
    test(short.pace, 'a caller that takes nothing of its stream is dropped'),
    test(short.faults, 'a caller that does not read holds up its server, not the gateway'),
    test('test/scenarios/load.test.ts', 'clients that send byte by byte disturb nobody'),
  ),
  done(
    'Header flood',
    test(
      'test/refusals/gateway-transport-tls.test.ts',
      'two thousand small headers are refused and nothing of them is read',
    ),
  ),
  done(
    '100 MB body, lying length',
    test(short.http, 'a body over the limit is refused before it is read, declared or not'),
    test(short.pace, 'a body in crumbs is refused early'),
  ),
  done('Deep JSON, many keys', scan, bodies, test(short.pace, 'JSON that is dear to read is refused')),
  done(
    'JSON-RPC batch, notifications',
    bodies,
    test(short.roles, 'a notification that clients do not send is refused'),
  ),
  done(
    'Stream abuse',
    test('test/refusals/limits-calls.test.ts', 'limits.streams_per_user: a caller has so many streams open'),
    test(short.faults, 'a session has a bounded number of streams'),
  ),
  partial(
    'Rate-limit evasion',
    'counters are of one gateway',
    test(short.limits, 'per_user: a caller is refused after its requests from whichever address'),
    test('test/refusals/over-admission.test.ts', 'of requests that come at once none more is admitted'),
    test('test/unit/server/config.test.ts', 'one IPv6 host is one key, however it writes its address'),
  ),
  done(
    'SIEM down or slow',
    test('test/scenarios/export-syslog.test.ts', 'a log arrives whole and in order'),
    test('test/scenarios/export-kills.test.ts', 'delivers every entry in order, at least once'),
  ),
  done(
    'Bad policy or cert reload',
    reload,
    test(
      'test/refusals/policy-reload.test.ts',
      'a configuration that is wrong, or of another trust domain, changes nothing',
    ),
  ),
  partial(
    'Memory pressure',
    'ten minutes at twice the memory are run by hand',
    test(short.load, 'a heap that is nearly full accepts nobody, and those who are there are served'),
  ),
  done(
    'Worker crash loop',
    test('test/scenarios/bad-crash.test.ts', 'it comes back, calls work again'),
    test(short.stdio, 'a server that dies at every start is not started again and again'),
  ),
  done(
    'SIGTERM rolling restart',
    test('test/scenarios/gateway-drain.test.ts', 'both gateways are restarted one after the other'),
  ),
]
