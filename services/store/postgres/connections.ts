/**
 * Connections to PostgreSQL, and how values pass them: int8 is a number (ours stay below 2^53), and text may hold
 * U+0000, which PostgreSQL's own text cannot: it travels as a pair of characters that no text of people has.
 */
import { createHash } from 'node:crypto'
import pg from 'pg'

/** Noncharacters of Unicode, meant for a program's own use [Unicode 15, section 23.7]. */
const NUL_STANDS_IN = '\ufdd0'
const ESCAPE = '\ufdd1'

/** The server gives up on a transaction whose client has stopped in the middle, so that its locks go. */
const IDLE_IN_TRANSACTION_MS = 5000
/** A connection that does not answer for so long counts as lost; the server gives the statement up soon after. */
const ANSWER_TIMEOUT_MS = 8000
const STATEMENT_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 5000
/** A probe must not hold up whoever asks for the health of the store. */
const PROBE_TIMEOUT_MS = 2000
const KEEP_ALIVE_DELAY_MS = 5000

export type ConnectionSettings = { url: string; connectionsMax: number; applicationName: string }

const TEXT_OIDS: readonly number[] = [pg.types.builtins.TEXT, pg.types.builtins.VARCHAR]
const INT8_ARRAY = 1016

type Parser = (text: string) => unknown
const types = {
  getTypeParser(oid: number, format?: string): Parser {
    if (oid === pg.types.builtins.INT8) return Number
    if (TEXT_OIDS.includes(oid)) return unescapeText
    if (oid === INT8_ARRAY) return parseNumbers
    return pg.types.getTypeParser(oid, format as 'text') as Parser
  },
}

/** Of an array without nulls. */
function parseNumbers(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(Number)
}

export function openPool({ url, connectionsMax, applicationName }: ConnectionSettings): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: connectionsMax,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // No statement of ours runs long enough to be worth compiling.
    options: '-c jit=off',
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    types: types as pg.CustomTypesConfig,
  })
  // Whoever uses a connection that fails learns it from the statement, and nobody has to learn it of an idle one.
  pool.on('error', ignore)
  pool.on('connect', (client) => client.on('error', ignore))
  return pool
}

function ignore(): void {}

/** A connection outside the pool, without bounds on its statements. */
export async function withConnection<Result>(
  { url, applicationName }: Pick<ConnectionSettings, 'url' | 'applicationName'>,
  use: (client: pg.Client) => Promise<Result>,
  options: pg.ClientConfig = {},
): Promise<Result> {
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...options,
  })
  client.on('error', ignore)
  try {
    await client.connect()
    return await use(client)
  } finally {
    // A peer that is gone does not say good-bye.
    client.end().catch(() => {})
  }
}

/** Rejects unless PostgreSQL can be reached and takes writes. Over a new connection: old ones may be dead unseen. */
export async function probe(settings: Pick<ConnectionSettings, 'url' | 'applicationName'>): Promise<void> {
  const options = { connectionTimeoutMillis: PROBE_TIMEOUT_MS, query_timeout: PROBE_TIMEOUT_MS }
  const isStandby = await withConnection(
    settings,
    async (client) => {
      const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
      return rows[0]!.standby
    },
    options,
  )
  if (isStandby) throw new Error('this PostgreSQL is a standby, which takes no writes')
}

/** What runs statements: a connection, or any free one of the pool. */
export type Executor = Pick<pg.ClientBase, 'query'>

/** Texts that connections keep prepared. A text beyond this number is planned each time. */
const PREPARED_MAX = 500
const names = new Map<string, string>()

/** A name under which a connection keeps a statement prepared; the same for the same text. */
function nameOf(text: string): string | undefined {
  let name = names.get(text)
  if (name === undefined && names.size < PREPARED_MAX) {
    name = createHash('sha1').update(text).digest('base64url')
    names.set(text, name)
  }
  return name
}

export function execute<Row extends object>(
  executor: Executor,
  text: string,
  values: readonly unknown[],
): Promise<pg.QueryResult<Row>> {
  const name = nameOf(text)
  return executor.query<Row>({ ...(name !== undefined && { name }), text, values: values.map(escapeValue) })
}

function escapeValue(value: unknown): unknown {
  if (typeof value === 'string') return escapeText(value)
  return Array.isArray(value) ? value.map(escapeValue) : value
}

const MUST_ESCAPE = /[\0\ufdd0\ufdd1]/

export function escapeText(text: string): string {
  if (!MUST_ESCAPE.test(text)) return text
  return text.replace(/[\0\ufdd0\ufdd1]/g, (char) => (char === '\0' ? NUL_STANDS_IN : ESCAPE + char))
}

export function unescapeText(text: string): string {
  if (!text.includes(NUL_STANDS_IN) && !text.includes(ESCAPE)) return text
  return text.replace(/\ufdd1([\s\S])|\ufdd0/g, (_pair, char: string | undefined) => char ?? '\0')
}
