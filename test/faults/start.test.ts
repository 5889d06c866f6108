/** A server that cannot start says why in one line that names the setting, and ends with 1. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cleanEnv, REPO, startServer } from '../harness/server.ts'

const START_MS = 20_000

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-start-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Any free ports and the folder of the test; `settings` over them. */
function settingsOf(settings: Record<string, string>): Record<string, string> {
  return {
    WOCHAT_DATA_DIR: join(folder, 'data'),
    WOCHAT_MQTT_HOST: '127.0.0.1',
    WOCHAT_HTTP_HOST: '127.0.0.1',
    WOCHAT_MQTT_PORT: '0',
    WOCHAT_HTTP_PORT: '0',
    WOCHAT_ADMIN_PORT: '0',
    ...settings,
  }
}

/** Runs `serve` to its end: what it said that is not a log line of an ordinary start, and its code. */
function serve(
  settings: Record<string, string>,
  args: string[] = [],
): { code: number | null; complaint: string[] } {
  const run = spawnSync(process.execPath, ['main.ts', 'serve', ...args], {
    cwd: REPO,
    env: cleanEnv(settingsOf(settings)),
    encoding: 'utf8',
    timeout: START_MS,
    killSignal: 'SIGKILL',
  })
  return { code: run.status, complaint: run.stderr.split('\n').filter((line) => line !== '') }
}

function expectOneLine(
  result: { code: number | null; complaint: string[] },
  ...parts: (string | RegExp)[]
): void {
  expect(result.complaint.length, result.complaint.join('\n')).toBe(1)
  for (const part of parts) expect(result.complaint[0]).toMatch(part)
  expect(result.code).toBe(1)
}

describe('one clear line and exit code 1', () => {
  test.each(['WOCHAT_MQTT_PORT', 'WOCHAT_HTTP_PORT', 'WOCHAT_ADMIN_PORT'])('%s in use', async (setting) => {
    const holder = await holdPort()
    const { port } = holder.address() as { port: number }
    try {
      expectOneLine(serve({ [setting]: String(port) }), setting, String(port))
    } finally {
      holder.close()
    }
  })

  test('a data folder that is a file', () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expectOneLine(serve({ WOCHAT_DATA_DIR: file }), /WOCHAT_DATA_DIR|dataDir/, file)
  })

  test('a data folder that cannot be made', () => {
    // Root may write anywhere, but not below a file.
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const below = join(file, 'data')
    expectOneLine(serve({ WOCHAT_DATA_DIR: below }), /WOCHAT_DATA_DIR|dataDir/, below)
  })

  const wrong: [string, Record<string, string>, string][] = [
    ['a port that is none', { WOCHAT_MQTT_PORT: '99999' }, 'WOCHAT_MQTT_PORT'],
    ['a number that is none', { WOCHAT_WINDOW_ENTRIES: 'many' }, 'WOCHAT_WINDOW_ENTRIES'],
    ['a setting that does not exist', { WOCHAT_MQTT_PROT: '1883' }, 'WOCHAT_MQTT_PROT'],
    ['an SMS provider that does not exist', { WOCHAT_SMS: 'pigeon' }, 'WOCHAT_SMS'],
    ['the webhook without its URL', { WOCHAT_SMS: 'webhook' }, 'WOCHAT_SMS'],
    ['the same port twice', { WOCHAT_MQTT_PORT: '18831', WOCHAT_HTTP_PORT: '18831' }, 'WOCHAT_HTTP_PORT'],
    [
      'a packet limit below the payload limit',
      { WOCHAT_PAYLOAD_BYTES_MAX: '64KB', WOCHAT_PACKET_BYTES_MAX: '32KB' },
      'WOCHAT_PACKET_BYTES_MAX',
    ],
    ['a certificate without its key', { WOCHAT_TLS_CERT_FILE: '/etc/hostname' }, 'WOCHAT_TLS_CERT_FILE'],
    ['issuers that are no JSON', { WOCHAT_ISSUERS: '[{' }, 'WOCHAT_ISSUERS'],
    [
      'the open profile on an address that others reach',
      { WOCHAT_OPEN_PLAIN: 'true', WOCHAT_MQTT_HOST: '0.0.0.0' },
      'WOCHAT_OPEN_PLAIN',
    ],
  ]
  test.each(wrong)('%s', (_, settings, named) => {
    expectOneLine(serve(settings), named)
  })

  test('a configuration file with a setting that does not exist', () => {
    const file = join(folder, 'wochat.json')
    writeFileSync(file, '{"mqttProt": 1883}')
    expectOneLine(serve({ WOCHAT_CONFIG: file }), 'mqttProt', file)
  })
})

test('a second server on the same data folder is refused, and the first goes on', async () => {
  await using first = await startServer()
  expectOneLine(serve({ WOCHAT_DATA_DIR: first.dataDir }), first.dataDir)
  expect(await first.isReady()).toBe(true)
})

test('a lock left behind by a killed server does not keep the next one out', async () => {
  await using server = await startServer()
  await server.kill9()
  await server.start()
  expect(await server.isReady()).toBe(true)
})

test('a start says where everything is and how to log in', async () => {
  await using server = await startServer()
  const said = server.log.text
  for (const port of [server.mqttPort, server.httpPort, server.adminPort])
    expect(said).toContain(String(port))
  expect(said).toContain(server.dataDir)
  expect(said).toContain('wochat')
})

test('the environment wins over the configuration file', async () => {
  const file = join(folder, 'settings.json')
  writeFileSync(file, '{"windowEntries": 7, "mqttPort": 1}')
  await using server = await startServer({ env: { WOCHAT_CONFIG: file } })
  expect(readFileSync(file, 'utf8')).toContain('"mqttPort": 1')
  expect(server.running).toBe(true)
})

function holdPort(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}
