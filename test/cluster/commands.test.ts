/** The operator's commands with the configuration of a cluster, and what a node says of its stores at its start. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { newUid } from '../harness/people.ts'
import { cleanEnv, REPO, sharedServer } from '../harness/server.ts'
import { printToken } from '../harness/token-command.ts'

const run = promisify(execFile)
const server = sharedServer({ nodes: [{}, {}] })

test('a node says where its stores are, and no password', () => {
  const { WOCHAT_DATABASE_URL = '', WOCHAT_REDIS_URL = '' } = server.settings
  const database = new URL(WOCHAT_DATABASE_URL)
  const text = server.nodes[0]!.log.text
  expect(text).toContain(`PostgreSQL ${database.host}${database.pathname}\n`)
  expect(text).toContain(`Redis      ${new URL(WOCHAT_REDIS_URL).host}\n`)
  expect(text).not.toContain('postgres://')
  expect(text).not.toContain('  data ')
})

test('a token that the command prints is good on every node', async () => {
  const uid = newUid('tester')
  const token = await printToken(server, uid, '--device', 'laptop')
  for (const place of [0, 1]) {
    server.serveFrom(place)
    await using device = await Device.connect(server, uid, 'laptop', { token })
    expect(device.client.closed).toBe(false)
  }
  server.serveFrom(0, 1)
})

test('the doctor finds a running cluster well', async () => {
  const { stdout } = await run(process.execPath, ['main.ts', 'doctor'], {
    cwd: REPO,
    env: cleanEnv(server.settings),
  })
  expect(stdout).toMatch(/^ok {3}PostgreSQL 1\d/m)
  expect(stdout).toMatch(/^ok {3}Redis 7\./m)
  expect(stdout).toMatch(/^ok {3}signing key .* in the database$/m)
  expect(stdout).not.toMatch(/^(warn|FAIL)/m)
})
