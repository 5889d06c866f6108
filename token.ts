/** `wochat token`: access tokens for testers, signed with the key of the installation. They belong to no login. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDuration } from './config/option.ts'
import { type Config, ConfigError } from './config.ts'
import { type DeviceId, parseDeviceId, parseUserId } from './protocol/ids.ts'
import { issueAccessToken } from './services/auth/access-token.ts'
import { type Acl, NO_GRANTS, parseAcl } from './services/auth/acl.ts'
import { createKeyFile } from './services/auth/key-file.ts'
import { Keyring, KeyringError } from './services/auth/keyring.ts'

type TokenOptions = { device?: string; ttl: string; acl?: string; batch?: string }

/** Prints one token a line. Throws {@link ConfigError} for a uid, device, ttl or acl that is not of its form. */
export async function printTokens(
  config: Config,
  uid: string | undefined,
  options: TokenOptions,
): Promise<void> {
  const keyring = await readKeyring(config)
  const identity = { issuer: config.tokenIssuer, audience: config.tokenAudience }
  const acl = readAcl(options.acl)
  const ttlMs = parseDuration(options.ttl)
  if (ttlMs === undefined) throw new ConfigError('--ttl: a duration such as 90s, 1h or 7d')
  for (const [name, deviceName] of owners(uid, options)) {
    const sub = parseUserId(name)
    if (sub === undefined) throw new ConfigError(`${name}: not a uid, which is [A-Za-z0-9._@-]{1,64}`)
    const device = readDevice(deviceName)
    const { token } = issueAccessToken(keyring, identity, {
      uid: sub,
      device,
      sid: null,
      acl,
      ttlMs,
      now: Date.now(),
    })
    process.stdout.write(`${token}\n`)
  }
}

/** From the data folder, or from the database of a cluster. */
async function readKeyring({ databaseUrl, dataDir }: Config): Promise<Keyring> {
  if (databaseUrl === null) return Keyring.read(createKeyFile(join(dataDir, 'keys')))
  // Only here: the command is quick because it does not load the database's driver.
  const { createKeyDatabase } = await import('./services/auth/key-database.ts')
  const { openPool } = await import('./services/store/postgres/connections.ts')
  const pool = openPool({ url: databaseUrl.reveal(), connectionsMax: 1, applicationName: 'wochat token' })
  pool.on('error', () => {})
  try {
    return await Keyring.read(createKeyDatabase(pool))
  } catch (error) {
    if (error instanceof KeyringError) throw error
    throw new ConfigError(`WOCHAT_DATABASE_URL: ${(error as Error).message}`, { cause: error })
  } finally {
    await pool.end()
  }
}

function owners(uid: string | undefined, { batch, device }: TokenOptions): [string, string | undefined][] {
  if (batch === undefined) {
    if (uid === undefined) throw new ConfigError('token: give a uid, or --batch')
    return [[uid, device]]
  }
  const lines = readFileSync(batch, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
  return lines.map((line) => {
    const [name = '', deviceName] = line.trim().split(/\s+/)
    return [name, deviceName]
  })
}

function readDevice(name: string | undefined): DeviceId | null {
  if (name === undefined) return null
  const device = parseDeviceId(name)
  if (device === undefined) throw new ConfigError(`${name}: not a device id, which is [A-Za-z0-9_-]{1,64}`)
  return device
}

function readAcl(json: string | undefined): Acl {
  if (json === undefined) return NO_GRANTS
  let claim: unknown
  try {
    claim = JSON.parse(json)
  } catch {
    throw new ConfigError('--acl: not JSON')
  }
  const acl = parseAcl(claim)
  if (acl === undefined) {
    throw new ConfigError('--acl: {"pub": [filters], "sub": [filters]}, none of them under u/ or $')
  }
  return acl
}
