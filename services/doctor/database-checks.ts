/** The PostgreSQL of a cluster: reached, new enough, takes writes, of a schema that is known, and has room for connections. */
import type pg from 'pg'
import { createKeyDatabase } from '../auth/key-database.ts'
import { Keyring } from '../auth/keyring.ts'
import { newestSchema } from '../store/postgres/migrate.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The oldest that the tests run with. */
const MAJOR_MIN = 15

export async function checkDatabase(
  pool: Pick<pg.Pool, 'query' | 'connect'>,
  place: string,
  connectionsMax: number,
): Promise<Finding[]> {
  let server: ServerRow
  try {
    server = await readServer(pool)
  } catch (error) {
    return [
      fail(
        `PostgreSQL at ${place} cannot be reached (${lineOf(error)}); start it or change WOCHAT_DATABASE_URL`,
      ),
    ]
  }
  return [
    checkServerVersion(server.version, place),
    ...(server.standby
      ? [fail(`PostgreSQL at ${place} is a standby, which takes no writes; name the primary`)]
      : []),
    checkDurability(server),
    checkConnections(server, connectionsMax),
    await checkSchema(pool),
    await checkKeys(pool),
  ]
}

type ServerRow = {
  version: string
  standby: boolean
  fsync: string
  synchronous: string
  connections: number
}

async function readServer(pool: Pick<pg.Pool, 'query'>): Promise<ServerRow> {
  const { rows } = await pool.query<ServerRow>(
    `select current_setting('server_version') as version, pg_is_in_recovery() as standby,
       current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous,
       current_setting('max_connections')::int4 as connections`,
  )
  return rows[0]!
}

function checkServerVersion(version: string, place: string): Finding {
  if (Number.parseInt(version, 10) >= MAJOR_MIN) return ok(`PostgreSQL ${version} at ${place}`)
  return fail(`PostgreSQL ${version} at ${place} is too old; install ${MAJOR_MIN} or newer`)
}

function checkDurability({ fsync, synchronous }: ServerRow): Finding {
  if (fsync === 'off')
    return fail('PostgreSQL has fsync off: a crash loses acknowledged messages; turn it on')
  if (synchronous === 'off')
    return fail('PostgreSQL has synchronous_commit off: a crash loses acknowledged messages; turn it on')
  return ok('PostgreSQL writes to disk before it answers')
}

function checkConnections({ connections }: ServerRow, connectionsMax: number): Finding {
  const nodes = Math.floor(connections / connectionsMax)
  const room = `max_connections ${connections} has room for ${nodes} nodes of ${connectionsMax} (databaseConnectionsMax)`
  return nodes < 2 ? warn(`PostgreSQL: ${room}; raise it`) : ok(`PostgreSQL: ${room}`)
}

async function checkSchema(pool: Pick<pg.Pool, 'query'>): Promise<Finding> {
  const known = await newestSchema()
  const { rows: tables } = await pool.query<{ there: boolean }>(
    "select to_regclass('migration') is not null as there",
  )
  if (!tables[0]!.there) return ok(`store: not there yet; the first start makes schema ${known}`)
  const { rows } = await pool.query<{ version: number | null }>(
    'select max(version)::int4 as version from migration',
  )
  const version = rows[0]!.version ?? 0
  if (version > known)
    return fail(`store was written by a newer wochat (schema ${version}, known ${known}); install that one`)
  return ok(`store schema ${version}${version < known ? `; the next start brings it to ${known}` : ''}`)
}

async function checkKeys(pool: Pick<pg.Pool, 'query' | 'connect'>): Promise<Finding> {
  const storage = createKeyDatabase(pool)
  if ((await storage.load()) === undefined)
    return ok('signing key: not there yet; the first start makes it in the database')
  const { signing } = await Keyring.read(storage)
  return ok(`signing key ${signing.kid} (${signing.alg}) in the database`)
}

function lineOf(error: unknown): string {
  const { message, code, errors } = error as Error & { code?: string; errors?: Error[] }
  // Of a host name with several addresses, each refused; then the message is empty.
  return (message || errors?.[0]?.message || code || 'no answer').replaceAll('\n', ' ')
}
