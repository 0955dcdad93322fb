/** Frameworks behind `protect`: applications of Express, Hono and Fastify, which know who calls. */

import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import type { HttpBindings } from '@hono/node-server'
import { callOf } from '@doorward/sdk'
import type { ProtectedListener } from '@doorward/sdk'
import { Hono } from 'hono'
import { openProtectedStage } from '../fixtures/protected-stage.ts'

interface ExpressRequest extends IncomingMessage {
  readonly params: Readonly<Record<string, string>>
  readonly body: unknown
}

interface ExpressResponse extends ServerResponse {
  status(code: number): ExpressResponse
  json(value: unknown): void
}

type Route = (path: string, handler: (request: ExpressRequest, response: ExpressResponse) => void) => void

/** Express brings no types. */
interface ExpressApp {
  (request: IncomingMessage, response: ServerResponse): void
  use(middleware: unknown): void
  readonly get: Route
  readonly post: Route
}

const express = createRequire(import.meta.url)('express') as (() => ExpressApp) & { json(): unknown }

interface FastifyRequest {
  readonly params: { readonly id: string }
  readonly body: { readonly item: string }
  readonly raw: IncomingMessage
}

interface FastifyReply {
  code(status: number): void
}

type FastifyAnswer = (request: FastifyRequest, reply: FastifyReply) => Promise<object>

/** What is asked of it here. */
interface FastifyApp {
  get(path: string, handler: FastifyAnswer): void
  post(path: string, handler: FastifyAnswer): void
  ready(): Promise<unknown>
  routing(request: IncomingMessage, response: ServerResponse): void
  close(): Promise<void>
}

const fastify = createRequire(import.meta.url)('fastify') as () => FastifyApp

/** The same questions to each. */
async function ask(handler: ProtectedListener): Promise<void> {
  const stage = await openProtectedStage(handler)
  try {
    const writer = await stage.workload('agent/writer', ['writer'])
    const token = await stage.token(writer)
    const shown = await stage.ask(writer, token, 'GET /orders/7')
    assert.deepEqual([shown.status, shown.json()], [200, { order: '7', caller: writer.id }])
    const before = stage.reached.length
    const reader = await stage.workload('agent/reader')
    const denied = await stage.ask(reader, await stage.token(reader), 'POST /orders', '{"item":"tea"}')
    assert.deepEqual([denied.status, denied.headers['doorward-code']], [403, 'policy_denied'])
    assert.equal((await stage.ask(writer, token, 'GET /hidden')).headers['doorward-code'], 'path_unknown')
    assert.equal(stage.reached.length, before)
    const identity = await stage.connect('agent/program', { roles: ['writer'] })
    const made = await identity.fetch(`${stage.audience}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ item: 'tea' }),
      expect: stage.callee.id.uri,
    })
    assert.deepEqual([made.status, await made.json()], [201, { item: 'tea', caller: identity.id.uri }])
  } finally {
    await stage.close()
  }
}

test('an Express application is a handler', async () => {
  const app = express()
  app.use(express.json())
  app.get('/orders/:id', (request, response) => {
    response.json({ order: request.params['id'], caller: callOf(request)?.principal.presenter.uri })
  })
  app.post('/orders', (request, response) => {
    const { item } = request.body as { readonly item: string }
    response.status(201).json({ item, caller: callOf(request)?.principal.presenter.uri })
  })
  app.get('/hidden', (_request, response) => response.json({}))
  await ask((request, response) => app(request, response))
})

test('a Hono application is a handler', async () => {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/orders/:id', (context) =>
    context.json({ order: context.req.param('id'), caller: callOf(context.env.incoming)?.principal.presenter.uri }),
  )
  app.post('/orders', async (context) => {
    const { item } = await context.req.json<{ readonly item: string }>()
    return context.json({ item, caller: callOf(context.env.incoming)?.principal.presenter.uri }, 201)
  })
  app.get('/hidden', (context) => context.json({}))
  const listener = getRequestListener(app.fetch)
  await ask((request, response) => listener(request, response))
})

test('a Fastify application is a handler', async () => {
  const app = fastify()
  app.get('/orders/:id', async ({ params, raw }) => ({
    order: params.id,
    caller: callOf(raw)?.principal.presenter.uri,
  }))
  app.post('/orders', async ({ body, raw }, reply) => {
    reply.code(201)
    return { item: body.item, caller: callOf(raw)?.principal.presenter.uri }
  })
  app.get('/hidden', async () => ({}))
  await app.ready()
  try {
    await ask((request, response) => app.routing(request, response))
  } finally {
    await app.close()
  }
})
