/**
 * The keyring in the PostgreSQL of a cluster: one row for the pepper, one for each key. Whoever changes it holds an
 * advisory lock, so that nodes which start at once make one key, and nodes that find one old replace it once.
 */
import type pg from 'pg'
import { KEY_CHECK_EVERY_MS } from './key-rotation.ts'
import type { KeyStorage, StoredKey, StoredKeyring } from './key-storage.ts'

/** Of the advisory lock; no other part of the program takes this one. */
const KEYRING_LOCK = 7_310_001

/** The tables must be there: migrations/0003_keys.sql. */
export function createKeyDatabase(pool: Pick<pg.Pool, 'connect' | 'query'>): KeyStorage {
  return {
    place: 'the database',
    noticeMs: 2 * KEY_CHECK_EVERY_MS,
    load: () => readKeyring(pool),
    async update(change) {
      const client = await pool.connect()
      let failure: Error | undefined
      try {
        await client.query('begin')
        await client.query('select pg_advisory_xact_lock($1)', [KEYRING_LOCK])
        const stored = await readKeyring(client)
        const changed = await change(stored)
        if (changed !== null) await writeKeyring(client, changed)
        await client.query('commit')
        return changed ?? stored!
      } catch (error) {
        failure = error as Error
        throw error
      } finally {
        // A connection that failed is not used again, and its transaction ends with it.
        client.release(failure)
      }
    },
  }
}

type KeyRow = {
  kid: string
  alg: StoredKey['alg']
  created_at: string | number
  ends_at: string | number | null
  public_key: string
  private_key: string | null
}

async function readKeyring(database: Pick<pg.ClientBase, 'query'>): Promise<StoredKeyring | undefined> {
  // One statement, so that a change which commits meanwhile is seen whole or not at all.
  const { rows } = await database.query<KeyRow & { code_pepper: string }>(
    `select keyring.code_pepper, signing_key.* from keyring cross join signing_key
     order by signing_key.private_key is null, signing_key.ends_at desc`,
  )
  const [first] = rows
  if (first === undefined) return undefined
  return {
    version: 1,
    codePepper: first.code_pepper,
    keys: rows.map((row) => ({
      kid: row.kid,
      alg: row.alg,
      createdAt: Number(row.created_at),
      endsAt: row.ends_at === null ? null : Number(row.ends_at),
      publicKey: row.public_key,
      privateKey: row.private_key,
    })),
  }
}

async function writeKeyring(database: Pick<pg.ClientBase, 'query'>, { codePepper, keys }: StoredKeyring) {
  await database.query(
    `insert into keyring (code_pepper) values ($1)
     on conflict (one) do update set code_pepper = excluded.code_pepper`,
    [codePepper],
  )
  await database.query('delete from signing_key')
  for (const key of keys) {
    await database.query(
      `insert into signing_key (kid, alg, created_at, ends_at, public_key, private_key)
       values ($1, $2, $3, $4, $5, $6)`,
      [key.kid, key.alg, key.createdAt, key.endsAt, key.publicKey, key.privateKey],
    )
  }
}
