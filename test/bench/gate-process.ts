/** The gateway's listener and its way upstream, and between them some of its controls. For measuring only; see the README of this folder. */

import { started, tell } from './child.ts'
import { forwardTo } from './forwarding.ts'
import { openGate } from './gate.ts'
import { openBenchListener } from './listener.ts'

const start = await started('gate')
const stack = new AsyncDisposableStack()
const { gate, material } = await openGate(start, stack)
const listener = await openBenchListener({
  clientCertificate: 'required',
  material,
  onExchange: forwardTo({ ...material, port: start.upstreamPort }, gate),
})
tell({ port: listener.address.port })
