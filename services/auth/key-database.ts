/**
 * The keyring in the PostgreSQL of a cluster: a row for each key, and the pepper among the secrets. Whoever changes it holds an
 * advisory lock, so that nodes which start at once make one key, and nodes that find one old replace it once.
 */
import type pg from 'pg'
import { KEY_CHECK_EVERY_MS } from './key-rotation.ts'
import type { KeyStorage, StoredKey, StoredKeyring } from './key-storage.ts'

/** Of the advisory lock; no other part of the program takes this one. */
const KEYRING_LOCK = 7_310_001
/** undefined_table [PostgreSQL, appendix A]. */
const UNDEFINED_TABLE = '42P01'
/** Name of the pepper in the table of secrets. */
const PEPPER = 'code_pepper'

/** To change the keyring, its tables must be there: services/store/postgres/migrations. */
export function createKeyDatabase(pool: Pick<pg.Pool, 'connect' | 'query'>): KeyStorage {
  return {
    place: 'the database',
    noticeMs: 2 * KEY_CHECK_EVERY_MS,
    load: () => readKeyring(pool).catch(noneWithoutTables),
    async update(change) {
      const client = await pool.connect()
      // Between two queries a lost connection has nobody else to tell; the next query fails with it.
      client.on('error', ignore)
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
        client.removeListener('error', ignore)
        client.release(failure)
      }
    },
  }
}

/** A database that no node has started on holds no keys. */
function noneWithoutTables(error: { code?: string }): undefined {
  if (error.code !== UNDEFINED_TABLE) throw error
}

function ignore(): void {}

type KeyRow = {
  kid: string
  alg: StoredKey['alg']
  created_at: string | number
  ends_at: string | number | null
  public_pem: string
  private_pem: string | null
}

async function readKeyring(database: Pick<pg.ClientBase, 'query'>): Promise<StoredKeyring | undefined> {
  // One statement, so that a change which commits meanwhile is seen whole or not at all.
  const { rows } = await database.query<KeyRow & { code_pepper: string }>(
    `select secret.value as code_pepper, signing_key.* from secret cross join signing_key
     where secret.name = $1
     order by signing_key.private_pem is null, signing_key.ends_at desc`,
    [PEPPER],
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
      publicKey: row.public_pem,
      privateKey: row.private_pem,
    })),
  }
}

async function writeKeyring(database: Pick<pg.ClientBase, 'query'>, { codePepper, keys }: StoredKeyring) {
  await database.query(
    `insert into secret (name, value) values ($1, $2)
     on conflict (name) do update set value = excluded.value`,
    [PEPPER, codePepper],
  )
  await database.query('delete from signing_key')
  for (const key of keys) {
    await database.query(
      `insert into signing_key (kid, alg, created_at, ends_at, public_pem, private_pem)
       values ($1, $2, $3, $4, $5, $6)`,
      [key.kid, key.alg, key.createdAt, key.endsAt, key.publicKey, key.privateKey],
    )
  }
}
