/** What a check found, in one line: what is so, and what to do when it is not fine. */
export type Finding = { level: 'ok' | 'warn' | 'fail'; what: string }

export const FINDING_MARKS: Readonly<Record<Finding['level'], string>> = {
  ok: 'ok  ',
  warn: 'warn',
  fail: 'FAIL',
}

export const ok = (what: string): Finding => ({ level: 'ok', what })
export const warn = (what: string): Finding => ({ level: 'warn', what })
export const fail = (what: string): Finding => ({ level: 'fail', what })

/** A text that must not be shown, such as a URL with a password. */
type Hidden = { reveal(): string }

/** The settings that are looked at; the server's configuration is one. */
export type DoctorSettings = {
  /** Of a cluster: PostgreSQL and Redis instead of a data folder. */
  databaseUrl?: Hidden | null
  redisUrl?: Hidden | null
  databaseConnectionsMax?: number
  dataDir: string
  diskReserveBytes: number
  mqttHost: string
  mqttPort: number
  mqttTlsPort: number
  httpHost: string
  httpPort: number
  adminHost: string
  adminPort: number
  tlsCertFile: string | null
  tlsKeyFile: string | null
  issuers: readonly { issuer: string; jwks: string }[]
}
