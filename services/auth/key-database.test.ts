/** Nodes that share their keys: each has a keyring of its own over one database. */
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from '../../test/harness/postgres.ts'
import { openPool } from '../store/postgres/connections.ts'
import { migrate } from '../store/postgres/migrate.ts'
import { issueAccessToken } from './access-token.ts'
import { createKeyDatabase } from './key-database.ts'
import { startKeyRotation } from './key-rotation.ts'
import { Keyring } from './keyring.ts'
import { createTokenVerifier } from './verifier.ts'

const HOUR_MS = 3_600_000
const identity = { issuer: 'wochat', audience: 'wochat' }
const log = { info() {}, warn() {}, error() {} }

let database: TestDatabase
let pool: pg.Pool
beforeAll(async () => {
  database = await createDatabase()
  pool = openPool({ url: database.url, connectionsMax: 5, applicationName: 'test' })
  const client = await pool.connect()
  await migrate(client)
  client.release()
})
beforeEach(() => pool.query('truncate signing_key, secret'))
const rotations: AsyncDisposable[] = []
afterEach(async () => {
  for (const rotation of rotations.splice(0)) await rotation[Symbol.asyncDispose]()
})
afterAll(async () => {
  await pool.end()
  await database[Symbol.asyncDispose]()
})

const openNode = (now = Date.now) =>
  Keyring.open({ storage: createKeyDatabase(pool), alg: 'ES256', keepMs: HOUR_MS, now })

const tokenOf = (keyring: Keyring, now = Date.now()) =>
  issueAccessToken(keyring, identity, {
    uid: 'alice' as never,
    device: null,
    sid: null,
    ttlMs: HOUR_MS,
    now,
  }).token

const verifies = (keyring: Keyring, token: string, now = Date.now) =>
  createTokenVerifier({ keyring, identity, issuers: [], log, now })
    .verify(token)
    .then(
      () => true,
      () => false,
    )

it('nodes that start at once have one key and one pepper', async () => {
  const nodes = await Promise.all(Array.from({ length: 8 }, () => openNode()))
  expect(new Set(nodes.map(({ signing }) => signing.kid)).size).toBe(1)
  expect(new Set(nodes.map(({ codePepper }) => codePepper.toString('hex'))).size).toBe(1)
  const { rows } = await pool.query('select kid from signing_key')
  expect(rows).toEqual([{ kid: nodes[0]!.signing.kid }])
})

it('a token that any node signed verifies on all, right after a rotation and after forged ones', async () => {
  const [a, b, c] = await Promise.all([openNode(), openNode(), openNode()])
  const old = tokenOf(b)
  await a.rotate({ alg: 'ES256', keepMs: HOUR_MS })
  const fresh = tokenOf(a)
  const forged = `${Buffer.from('{"alg":"ES256","kid":"nobody"}').toString('base64url')}.${fresh.split('.').slice(1).join('.')}`
  // Forged tokens use up the reading that is allowed at once; the good one waits for the next.
  const answers = [forged, forged, fresh, old].map((token) => verifies(c, token))
  expect(await Promise.all(answers)).toEqual([false, false, true, true])
  expect(await verifies(b, fresh)).toBe(true)
  expect(await verifies(a, tokenOf(b))).toBe(true)
})

it('a key that became old is replaced once, and every node signs with the new one', async () => {
  let time = Date.now()
  const now = () => time
  const nodes = await Promise.all([openNode(now), openNode(now), openNode(now)])
  const { kid } = nodes[0]!.signing
  const settings = { alg: 'ES256', ageMaxMs: HOUR_MS, keepMs: HOUR_MS, now, log, checkEveryMs: 5 } as const
  time += HOUR_MS
  for (const keyring of nodes) rotations.push(startKeyRotation({ keyring, ...settings }))
  const signing = () => new Set(nodes.map((node) => node.signing.kid))
  await expect.poll(() => !signing().has(kid) && signing().size === 1, { timeout: 20_000 }).toBe(true)
  const { rows } = await pool.query('select kid from signing_key')
  expect(new Set(rows.map((row: { kid: string }) => row.kid))).toEqual(new Set([kid, ...signing()]))
})

it('the private half of a replaced key leaves the database', async () => {
  const node = await openNode()
  await node.rotate({ alg: 'ES256', keepMs: HOUR_MS })
  const { rows } = await pool.query(
    'select private_pem is null as public from signing_key order by ends_at nulls first',
  )
  expect(rows).toEqual([{ public: false }, { public: true }])
})
