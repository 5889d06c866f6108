/** What a failure of PostgreSQL means for the work that met it [PostgreSQL documentation, appendix A]. */

/** The transaction was rolled back, and may well succeed when it is run again. */
const CONFLICTS: ReadonlySet<string> = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57014', // query_canceled: it took longer than a statement may
])

/** The server does not do its work at the moment, or is not the one that takes writes. */
const AWAY: ReadonlySet<string> = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '25006', // read_only_sql_transaction: a standby after a failover
  '25P03', // idle_in_transaction_session_timeout: this process was paused
  '53300', // too_many_connections
])

/** Classes of codes: connection exceptions, operator intervention and system errors are the server's, not the work's. */
const AWAY_CLASSES: ReadonlySet<string> = new Set(['08', '58'])

const DISK_FULL = '53100'

const CONNECTION_ERRORS = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_)/
/** How the client says that a connection ended or did not answer. */
const CONNECTION_MESSAGES =
  /Connection terminated|Connection ended|timeout exceeded when trying to connect|Query read timeout|not queryable|client was closed/i

export type FailureKind = 'conflict' | 'away' | 'full' | 'other'

export function kindOfFailure(error: unknown): FailureKind {
  const { code, message, errors } = error as { code?: unknown; message?: unknown; errors?: unknown }
  if (typeof code === 'string') {
    if (CONFLICTS.has(code)) return 'conflict'
    if (code === DISK_FULL) return 'full'
    if (AWAY.has(code) || AWAY_CLASSES.has(code.slice(0, 2)) || CONNECTION_ERRORS.test(code)) return 'away'
    if (code.length === 5) return 'other'
  }
  // Each address of a host name that was tried and refused.
  if (Array.isArray(errors) && errors.length > 0) return kindOfFailure(errors[0])
  return typeof message === 'string' && CONNECTION_MESSAGES.test(message) ? 'away' : 'other'
}
