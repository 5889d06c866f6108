/** What the README promises to a newcomer: stock clients, nothing of ours. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runMosquitto, startMosquittoSub, subscribedMessages } from '../harness/mosquitto.ts'
import { MqttJs } from '../harness/mqtt-client.ts'
import { befriend, logIn, newFriends, newPhone } from '../harness/people.ts'
import { findFreePort } from '../harness/ports.ts'
import { cleanEnv, REPO, sharedServer, startServer } from '../harness/server.ts'
import { printToken } from '../harness/token-command.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

test('the two mosquitto commands of the README carry a message from alice to bob', async () => {
  await using fresh = await startServer()
  await befriend(fresh, 'alice', 'bob')
  const bobJwt = await printToken(fresh, 'bob', '--device', 'phone')
  const aliceJwt = await printToken(fresh, 'alice', '--device', 'cli')
  const port = ['-p', String(fresh.mqttPort)]

  await using sub = await startMosquittoSub([
    ...port,
    ...['-q', '1', '-c', '-i', 'bob/phone', '-u', 'bob', '-P', bobJwt, '-t', 'u/bob/inbox'],
  ])
  const pub = await runMosquitto('mosquitto_pub', [
    ...port,
    ...['-V', '5', '-q', '1', '-i', 'alice/cli', '-u', 'alice', '-P', aliceJwt, '-t', 'u/alice/send'],
    ...['-m', '{"to":"bob","text":"Hello!"}'],
  ])

  expect(pub.code, pub.err.join('\n')).toBe(0)
  const entry = await until(
    () => subscribedMessages(sub).find((each) => each.kind === 'message'),
    'the message',
  )
  expect(entry).toMatchObject({
    log: 'd:alice:bob',
    from: 'alice',
    device: 'cli',
    type: 'text',
    body: { text: 'Hello!' },
  })
})

test('a signal to npm start ends the server, and leaves no process behind', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'wochat-npm-'))
  const env = { WOCHAT_DATA_DIR: dataDir, WOCHAT_MQTT_HOST: '127.0.0.1', WOCHAT_HTTP_HOST: '127.0.0.1' }
  const adminPort = String(await findFreePort())
  const ports = {
    WOCHAT_MQTT_PORT: String(await findFreePort()),
    WOCHAT_HTTP_PORT: String(await findFreePort()),
    WOCHAT_ADMIN_PORT: adminPort,
  }
  const isReady = async () => {
    try {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
      await answer.arrayBuffer()
      return answer.status === 200
    } catch {
      return false
    }
  }
  const npm = spawn('npm', ['start'], {
    cwd: REPO,
    env: cleanEnv({ ...env, ...ports }),
    stdio: 'ignore',
    detached: true,
  })
  try {
    await until(isReady, 'the server of npm start to be ready')
    npm.kill('SIGTERM')
    await until(async () => !(await isReady()), 'the server to end')
    await until(() => !hasProcesses(npm.pid!), 'all processes of npm start to end')
  } finally {
    if (hasProcesses(npm.pid!)) process.kill(-npm.pid!, 'SIGKILL')
    rmSync(dataDir, { recursive: true })
  }
})

/** Whether anything of a process group is left. */
function hasProcesses(group: number): boolean {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}

test('two people who log in by SMS become friends and chat over WebSocket with MQTT.js', async () => {
  const { alice, bob } = await newFriendsBySms()
  await using sender = await MqttJs.connect(server, alice.uid, 'browser', {
    over: 'ws',
    token: alice.accessToken,
  })
  await using receiver = await MqttJs.connect(server, bob.uid, 'browser', {
    over: 'ws',
    token: bob.accessToken,
  })
  await receiver.client.subscribeAsync(`u/${bob.uid}/inbox`, { qos: 1 })

  await sender.client.publishAsync(`u/${alice.uid}/send`, JSON.stringify({ to: bob.uid, text: 'over ws' }), {
    qos: 1,
  })

  const message = await receiver.untilReceived(
    ({ payload }) => payload.includes('over ws'),
    'the message over WebSocket',
  )
  expect(message).toMatchObject({ topic: `u/${bob.uid}/inbox`, qos: 1, retain: false })
})

async function newFriendsBySms() {
  const alice = await logIn(server, { phone: newPhone(), deviceId: 'browser' })
  const bob = await logIn(server, { phone: newPhone(), deviceId: 'browser' })
  await server.http('contacts.request', { uid: bob.uid }, alice.accessToken)
  await server.http('contacts.accept', { uid: alice.uid }, bob.accessToken)
  return { alice, bob }
}

test.each([4, 5] as const)('MQTT.js speaks MQTT version %i over TCP and over WebSocket', async (version) => {
  const { alice, bob } = await newFriends(server)
  await using overTcp = await MqttJs.connect(server, alice, 'tcp', { version })
  await using overWs = await MqttJs.connect(server, bob, 'ws', { version, over: 'ws' })
  await overTcp.client.subscribeAsync(`u/${alice}/inbox`, { qos: 1 })
  await overWs.client.subscribeAsync(`u/${bob}/inbox`, { qos: 1 })

  await overTcp.client.publishAsync(`u/${alice}/send`, `{"to":"${bob}","text":"there"}`, { qos: 1 })
  await overWs.untilReceived(({ payload }) => payload.includes('there'), 'the message to the WebSocket')
  await overWs.client.publishAsync(`u/${bob}/send`, `{"to":"${alice}","text":"and back"}`, { qos: 1 })
  await overTcp.untilReceived(({ payload }) => payload.includes('and back'), 'the message to TCP')
})

test('a token printed for an hour opens HTTP as well as MQTT', async () => {
  const token = await printToken(server, 'tester', '--device', 'laptop', '--ttl', '1h')
  const { devices } = await server.http<{ devices: { id: string }[] }>('auth.devices', {}, token)
  expect(Array.isArray(devices)).toBe(true)
  await using client = await MqttJs.connect(server, 'tester', 'laptop', { token })
  expect(client.client.connected).toBe(true)
})

/** The status of a WebSocket handshake. */
function handshakeStatus(headers: Record<string, string>, path = '/mqtt'): Promise<number> {
  return new Promise((resolve, reject) => {
    const ask = request(`${server.httpUrl}${path}`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-protocol': 'mqtt',
        ...headers,
      },
    })
    ask.once('upgrade', (answer, socket) => {
      socket.destroy()
      resolve(answer.statusCode ?? 0)
    })
    ask.once('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    ask.once('error', reject)
    ask.end()
  })
}

test('a page of a foreign origin gets 403 from the WebSocket', async () => {
  expect(await handshakeStatus({ origin: 'https://evil.example' })).toBe(403)
  expect(await handshakeStatus({ origin: 'null' })).toBe(403)
})

test('a page of our own origin, and a client without one, open the WebSocket', async () => {
  expect(await handshakeStatus({ origin: server.httpUrl })).toBe(101)
  expect(await handshakeStatus({})).toBe(101)
})

test('a WebSocket without the subprotocol mqtt, or on another path, is refused', async () => {
  expect(await handshakeStatus({ 'sec-websocket-protocol': 'chat' })).toBeGreaterThanOrEqual(400)
  expect(await handshakeStatus({}, '/elsewhere')).toBeGreaterThanOrEqual(400)
})
