import { Counter, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createAdminServer, type Readiness } from './admin-server.ts'

async function startAdmin(readiness: () => Promise<Readiness>) {
  const registry = new Registry()
  new Counter({ name: 'wochat_test_total', help: 'A test.', registers: [registry] }).inc(3)
  const admin = createAdminServer({ registry, readiness, operations: null })
  const port = await admin.listen({ host: '127.0.0.1', port: 0 })
  return {
    get: (path: string) => fetch(`http://127.0.0.1:${port}${path}`),
    [Symbol.asyncDispose]: () => admin[Symbol.asyncDispose](),
  }
}

it('metrics are in the text form of Prometheus', async () => {
  await using admin = await startAdmin(async () => ({ ready: true, reasons: [], warnings: [] }))
  const answer = await admin.get('/metrics')
  expect(answer.headers.get('content-type')).toContain('text/plain')
  expect(await answer.text()).toContain('wochat_test_total 3')
})

it('readiness is 503 with the reasons until there are none, also when it cannot be told', async () => {
  let state: Readiness | Error = { ready: false, reasons: ['the disk is full'], warnings: [] }
  await using admin = await startAdmin(async () => {
    if (state instanceof Error) throw state
    return state
  })
  const read = async () => {
    const answer = await admin.get('/readyz')
    return [answer.status, await answer.json()]
  }
  expect(await read()).toEqual([503, { ready: false, reasons: ['the disk is full'], warnings: [] }])
  state = new Error('no answer')
  expect(await read()).toEqual([503, { ready: false, reasons: ['Error: no answer'], warnings: [] }])
  state = { ready: true, reasons: [], warnings: [] }
  expect(await read()).toEqual([200, { ready: true, reasons: [], warnings: [] }])
  expect((await admin.get('/livez')).status).toBe(200)
})
