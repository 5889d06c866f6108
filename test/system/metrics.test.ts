/** What an operator sees: figures at /metrics, health, and logs that hold nothing of the people. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { documentedMetrics } from '../harness/documented-metrics.ts'
import { befriend, logIn, newPhone } from '../harness/people.ts'
import { RawClient } from '../harness/raw-client.ts'
import { sharedServer, startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_LOG_LEVEL: 'trace' } })

test('/metrics shows what the guide names, and nothing else but what Node adds', async () => {
  const shown = (await server.metrics()).declared()
  const { ours = [], nodes = [] } = Object.groupBy(shown, (name) =>
    name.startsWith('wochat_') ? 'ours' : 'nodes',
  )
  expect(ours).toEqual(documentedMetrics('ofEveryProcess'))
  expect(nodes).toContain('process_resident_memory_bytes')
  expect(nodes.filter((name) => !/^(process|nodejs)_/.test(name))).toEqual([])
})

test('/metrics counts what happens', async () => {
  await using own = await startServer()
  await befriend(own, 'alice', 'bob')
  using alice = await Device.connect(own, 'alice', 'phone')
  using bob = await Device.connect(own, 'bob', 'phone')
  for (let i = 0; i < 5; i++) await alice.send({ id: `m${i}`, to: 'bob', text: `${i}` })
  await alice.send({ id: 'refused', to: 'nobody', text: 'x' })
  await bob.untilMessages(5)
  await bob.client.ping()
  const metrics = await own.metrics()
  expect(metrics.sum('wochat_connections')).toBe(2)
  expect(metrics.sum('wochat_sends_total')).toBeGreaterThanOrEqual(5)
  expect(metrics.sum('wochat_commits_total')).toBeGreaterThan(0)
  expect(metrics.sum('wochat_refusals_total', { code: 'unknown_user' })).toBe(1)
  bob.cut()
  await until(async () => (await own.metrics()).sum('wochat_connections') === 1, 'one connection')
})

test('health answers on the admin port, which is not the public one', async () => {
  for (const path of ['/livez', '/readyz']) {
    expect((await fetch(`http://127.0.0.1:${server.adminPort}${path}`)).status).toBe(200)
  }
  for (const path of ['/metrics', '/livez', '/readyz']) {
    expect((await fetch(`${server.httpUrl}${path}`)).status, path).toBe(404)
  }
})

test('logs hold no payloads, tokens or codes, even at the lowest level', async () => {
  const phone = newPhone()
  const login = await logIn(server, { phone, deviceId: 'phone' })
  const code = server.smsCode(phone)!
  const refreshed = await server.http<{ accessToken: string; refreshToken: string }>('auth.refresh', {
    refreshToken: login.refreshToken,
  })
  const bob = 'log-bob'
  await befriend(server, login.uid, bob)
  using sender = await Device.connect(server, login.uid, 'phone', { token: refreshed.accessToken })
  using receiver = await Device.connect(server, bob, 'phone')
  await sender.send({ id: 'm1', to: bob, text: 'very-secret-text' })
  await receiver.untilText('very-secret-text')
  sender.publishSend('{"to": "very-secret-broken-json')
  await sender.reply((reply) => reply.code === 'bad_json')
  await receiver.client.publishAcked({ topic: `u/${bob}/own/x`, payload: 'very-secret-state' })
  using stranger = await RawClient.open({ port: server.mqttPort })
  await stranger.connect({ clientId: `${bob}/phone2`, username: bob, password: 'very-secret-password' })
  await server.http('auth.logout', {}, refreshed.accessToken)
  await sender.client.untilClosed()

  const lines = server.log.lines.filter((line) => !line.startsWith('sms to '))
  const secrets = [
    'very-secret',
    login.accessToken,
    login.refreshToken,
    refreshed.accessToken,
    refreshed.refreshToken,
    server.token(bob, 'phone').split('.')[2]!,
  ]
  for (const secret of secrets) {
    expect(
      lines.filter((line) => line.includes(secret)),
      secret.slice(0, 12),
    ).toEqual([])
  }
  expect(lines.filter((line) => new RegExp(`\\b${code}\\b`).test(line))).toEqual([])
})

test('the store and the keys on disk hold no codes or refresh tokens in clear, and keys are private', async () => {
  await using own = await startServer()
  const phone = newPhone()
  const login = await logIn(own, { phone, deviceId: 'phone' })
  await own.stop()
  const { readdirSync, statSync } = await import('node:fs')
  const files = readdirSync(own.dataDir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile())
  expect(files.length).toBeGreaterThan(1)
  for (const file of files) {
    const path = `${file.parentPath}/${file.name}`
    const content = readFileSync(path)
    expect(content.includes(login.refreshToken), path).toBe(false)
    expect(content.includes(login.accessToken), path).toBe(false)
    if (content.includes('PRIVATE KEY') || content.includes('"d":')) {
      expect(statSync(path).mode & 0o777, path).toBe(0o600)
    }
  }
})
