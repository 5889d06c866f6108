/**
 * The configuration: the one place that reads the environment.
 *
 * A value comes from the environment, else from the configuration file, else from the table of options. The file is
 * JSON with the names of the options as keys: the one named by `--config` or `WOCHAT_CONFIG`, else `wochat.json` in
 * the data folder if it is there. An empty variable counts as not set.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { quote } from './config/option.ts'
import {
  buildEnvName,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  type OptionValue,
  ROLES,
} from './config/options.ts'

export type { TrustedIssuer } from './config/issuers.ts'
export type { OptionName, Role } from './config/options.ts'
export { Secret } from './config/secret.ts'

type ConfigSource = 'default' | 'file' | 'environment'

/** Every option by its name, and where each value is from. */
export type Config = { readonly [Name in OptionName]: OptionValue<Name> } & {
  readonly sources: ReadonlyMap<OptionName, ConfigSource>
  /** The configuration file that was read. */
  readonly configFile: string | null
}

/** A setting that the server cannot start with. The message is one line and names the setting. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export type Environment = Readonly<Record<string, string | undefined>>

const FILE_VARIABLE = 'WOCHAT_CONFIG'
const FILE_IN_DATA_DIR = 'wochat.json'

/** Throws {@link ConfigError}. `file` is the one of `--config`. */
export function loadConfig(input: { env: Environment; file?: string | undefined }): Config {
  const env = readEnvironment(input.env)
  const file = readFile(input.file ?? (input.env[FILE_VARIABLE] || undefined), env)
  const sources = new Map<OptionName, ConfigSource>()
  const values = OPTION_NAMES.map((name) => {
    const source = env.has(name) ? 'environment' : file.values.has(name) ? 'file' : 'default'
    sources.set(name, source)
    if (source === 'environment') return [name, parse(name, env.get(name), process.cwd(), buildEnvName(name))]
    if (source === 'file') {
      return [name, parse(name, file.values.get(name), dirname(file.path ?? '.'), `in ${file.path}`)]
    }
    const initial = OPTIONS[name].default
    return [name, OPTIONS[name].type === 'path' && initial !== null ? resolve(String(initial)) : initial]
  })
  const config: Config = { ...Object.fromEntries(values), sources, configFile: file.path }
  refuseHalfCluster(config)
  refuseContradictions(config)
  return config
}

// ---------------------------------------------------------------- reading

function readEnvironment(env: Environment): Map<OptionName, unknown> {
  const names = new Map(OPTION_NAMES.map((name) => [buildEnvName(name), name]))
  const found = new Map<OptionName, unknown>()
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('WOCHAT_') || variable === FILE_VARIABLE) continue
    const name = names.get(variable)
    if (name === undefined) throw new ConfigError(`${variable}: there is no such setting; see wochat config`)
    if (value !== undefined && value !== '') found.set(name, value)
  }
  return found
}

type FileValues = { path: string | null; values: Map<OptionName, unknown> }

function readFile(named: string | undefined, env: Map<OptionName, unknown>): FileValues {
  if (named !== undefined) return readValues(resolve(named))
  const dataDir = parse('dataDir', env.get('dataDir') ?? OPTIONS.dataDir.default, process.cwd(), '')
  const path = join(String(dataDir), FILE_IN_DATA_DIR)
  if (!existsSync(path)) return { path: null, values: new Map() }
  const file = readValues(path)
  if (file.values.has('dataDir')) {
    throw new ConfigError(`dataDir (in ${path}): a file in the data folder cannot move the data folder`)
  }
  return file
}

function readValues(path: string): FileValues {
  const values = new Map<OptionName, unknown>()
  for (const [key, value] of Object.entries(parseFile(path))) {
    const name = OPTION_NAMES.find((option) => option === key)
    if (name === undefined)
      throw new ConfigError(`${quote(key)} (in ${path}): there is no such setting; see wochat config`)
    if (value !== null) values.set(name, value)
  }
  return { path, values }
}

function parseFile(path: string): object {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const reason = (error as Error).message.replaceAll('\n', ' ')
    throw new ConfigError(`configuration file ${path}: ${reason}`, { cause: error })
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new ConfigError(`configuration file ${path}: not a JSON object`)
  }
  return content
}

function parse(name: OptionName, raw: unknown, folder: string, where: string): unknown {
  try {
    return OPTIONS[name].parse(raw, { folder })
  } catch (error) {
    throw new ConfigError(`${name} (${where}): ${(error as Error).message}`, { cause: error })
  }
}

// ---------------------------------------------------------------- what does not go together

function refuse(name: OptionName, why: string): never {
  throw new ConfigError(`${name} (${buildEnvName(name)}): ${why}`)
}

/** One process has an embedded store and no bus; a cluster has both engines. */
function refuseHalfCluster({ databaseUrl, redisUrl, roles, workers }: Config): void {
  if (databaseUrl !== null && redisUrl === null) refuse('databaseUrl', 'a cluster needs redisUrl too')
  if (databaseUrl === null && redisUrl !== null) refuse('redisUrl', 'a cluster needs databaseUrl too')
  if (databaseUrl === null && roles.length < ROLES.length) {
    refuse('roles', 'a process with some of the roles needs databaseUrl and redisUrl')
  }
  if (databaseUrl !== null && workers > 1) refuse('workers', 'in a cluster start more nodes instead')
}

function refuseContradictions(config: Config): void {
  refuseHalfTls(config)
  refuseSharedPorts(config)
  refuseOpenDoors(config)
  if (config.proxyProtocol !== 'off' && config.trustedProxies.length === 0)
    refuse('proxyProtocol', 'needs trustedProxies: nobody else may connect')
  if (config.sms === 'webhook' && config.smsWebhookUrl === null) refuse('sms', 'webhook needs smsWebhookUrl')
  if (config.sms !== 'webhook' && config.smsWebhookUrl !== null)
    refuse('smsWebhookUrl', 'is only used when sms is webhook')
  if (config.sms !== 'webhook' && config.smsWebhookSecret !== null)
    refuse('smsWebhookSecret', 'is only used when sms is webhook')
  if (config.mediaStorage === 's3' && (config.mediaS3AccessKey === null || config.mediaS3SecretKey === null))
    refuse('mediaStorage', 's3 needs mediaS3AccessKey and mediaS3SecretKey')
  if (config.packetBytesMax < config.payloadBytesMax + PACKET_OVERHEAD_BYTES) {
    refuse(
      'packetBytesMax',
      `must exceed payloadBytesMax by ${PACKET_OVERHEAD_BYTES} bytes, so that a payload that is too large can be answered`,
    )
  }
  if (config.refreshTokenTtlMs < config.accessTokenTtlMs)
    refuse('refreshTokenTtlMs', 'is shorter than accessTokenTtlMs')
  if (config.signingKeyKeepMs < config.accessTokenTtlMs)
    refuse('signingKeyKeepMs', 'is shorter than accessTokenTtlMs')
  const own = config.issuers.find(({ issuer }) => issuer === config.tokenIssuer)
  if (own !== undefined) refuse('issuers', `${quote(own.issuer)} is tokenIssuer, the name of our own tokens`)
}

function refuseHalfTls(config: Config): void {
  const { tlsCertFile, tlsKeyFile, mqttTlsPort, sources } = config
  if (tlsCertFile !== null && tlsKeyFile === null) refuse('tlsCertFile', 'needs tlsKeyFile too')
  if (tlsCertFile === null && tlsKeyFile !== null) refuse('tlsKeyFile', 'needs tlsCertFile too')
  if (tlsCertFile === null && mqttTlsPort !== 0 && sources.get('mqttTlsPort') !== 'default') {
    refuse('mqttTlsPort', 'needs tlsCertFile and tlsKeyFile')
  }
}

/** Topic, properties and header of a packet beside its payload. */
const PACKET_OVERHEAD_BYTES = 1024

function refuseSharedPorts(config: Config): void {
  const open: OptionName[] = ['mqttPort', 'httpPort', 'adminPort']
  if (config.tlsCertFile !== null) open.push('mqttTlsPort')
  const users = new Map<unknown, OptionName>()
  for (const name of open) {
    const other = users.get(config[name])
    if (other !== undefined && config[name] !== 0)
      refuse(name, `port ${String(config[name])} is ${other} already`)
    users.set(config[name], name)
  }
}

function refuseOpenDoors(config: Config): void {
  if (!config.openPlain) return
  for (const name of ['mqttHost', 'httpHost', 'adminHost'] as const) {
    if (!isLoopback(config[name])) {
      refuse(
        'openPlain',
        `needs every listener on loopback; ${name} (${buildEnvName(name)}) is ${config[name]}`,
      )
    }
  }
}

/** Whether only this machine reaches what listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

// ---------------------------------------------------------------- showing

/** One row of `wochat config`. `value` and `default` are text; a secret shows as `[redacted]`. */
type ConfigRow = {
  name: OptionName
  env: string
  type: string
  unit: string
  range: string
  default: string
  value: string
  source: ConfigSource
  about: string
}

export function describeConfig(config: Config): ConfigRow[] {
  return OPTION_NAMES.map((name) => {
    const { type, unit, range, about } = OPTIONS[name]
    // The value belongs to its own option, which the type of a table of options cannot say.
    const show = OPTIONS[name].show as (value: unknown) => string
    const source = config.sources.get(name) ?? 'default'
    const env = buildEnvName(name)
    return {
      name,
      env,
      type,
      unit,
      range,
      default: show(OPTIONS[name].default),
      value: show(config[name]),
      source,
      about,
    }
  })
}
