import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildEnvName, OPTION_NAMES, OPTIONS } from '../../config/options.ts'
import { ConfigError, describeConfig, type Environment, isLoopback, loadConfig } from '../../config.ts'
import { policyOf } from '../../serve/store-policy.ts'
import { DEFAULT_POLICY } from '../../services/store/policy.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-config-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Loads with a data folder of its own, so that no file of the working directory is found. */
const load = (env: Environment = {}, file?: string) =>
  loadConfig({ env: { WOCHAT_DATA_DIR: join(folder, 'data'), ...env }, file })

function refusal(env: Environment, file?: string): string {
  try {
    load(env, file)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as Error).message).not.toContain('\n')
    return (error as Error).message
  }
  throw new Error('was not refused')
}

function writeConfig(content: unknown, name = 'test.json'): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

describe('the table', () => {
  test('every option has a sentence, and its default is a value that it takes', () => {
    for (const name of OPTION_NAMES) {
      const option = OPTIONS[name]
      expect(option.about, name).toMatch(/^[A-Z].*\.$/)
      if (option.default === null) continue
      expect(option.parse(option.default, { folder }), name).toEqual(
        option.type === 'path' ? resolve(folder, String(option.default)) : option.default,
      )
    }
  })

  test('the text that a value is shown as is read as the same value', () => {
    for (const name of OPTION_NAMES) {
      const option = OPTIONS[name]
      const shown = (option.show as (value: unknown) => string)(option.default)
      if (shown === '' || option.type === 'path') continue
      expect(option.parse(shown, { folder }), name).toEqual(option.default)
    }
  })

  test('environment names follow from the names of options and are all different', () => {
    expect(buildEnvName('mqttTlsPort')).toBe('WOCHAT_MQTT_TLS_PORT')
    expect(buildEnvName('sms')).toBe('WOCHAT_SMS')
    expect(new Set(OPTION_NAMES.map(buildEnvName)).size).toBe(OPTION_NAMES.length)
  })

  test('the names that outside tools rely on are there', () => {
    const names = new Set(OPTION_NAMES.map(buildEnvName))
    for (const name of [
      'WOCHAT_DATA_DIR',
      'WOCHAT_MQTT_PORT',
      'WOCHAT_HTTP_PORT',
      'WOCHAT_ADMIN_PORT',
      'WOCHAT_SMS',
      'WOCHAT_CONTACTS_REQUIRED',
      'WOCHAT_ROLES',
      'WOCHAT_DATABASE_URL',
      'WOCHAT_REDIS_URL',
      'WOCHAT_ISSUERS',
      'WOCHAT_OPEN_PLAIN',
    ]) {
      expect(names).toContain(name)
    }
  })
})

describe('sources', () => {
  test('without anything set, every value is the default', () => {
    const config = loadConfig({ env: { PATH: '/bin', WOCHAT_DATA_DIR: '' } })
    expect(config).toMatchObject({
      dataDir: resolve('data'),
      mqttPort: 1883,
      httpPort: 8080,
      adminPort: 9090,
      adminHost: '127.0.0.1',
      contactsRequired: true,
      payloadBytesMax: 65_536,
      accessTokenTtlMs: 3_600_000,
    })
    expect(new Set(config.sources.values())).toEqual(new Set(['default']))
  })

  test('the environment wins over the file, and the file over the default', () => {
    const file = writeConfig({ mqttPort: 2000, httpPort: 2001 })
    const config = load({ WOCHAT_MQTT_PORT: '3000' }, file)
    expect(config).toMatchObject({ mqttPort: 3000, httpPort: 2001, adminPort: 9090, configFile: file })
    expect(config.sources.get('mqttPort')).toBe('environment')
    expect(config.sources.get('httpPort')).toBe('file')
    expect(config.sources.get('adminPort')).toBe('default')
  })

  test('the file is the named one, else that of WOCHAT_CONFIG, else wochat.json in the data folder', () => {
    mkdirSync(join(folder, 'data'))
    writeConfig({ mqttPort: 1 }, 'data/wochat.json')
    const other = writeConfig({ mqttPort: 2 }, 'other.json')
    const named = writeConfig({ mqttPort: 3 }, 'named.json')
    expect(load().mqttPort).toBe(1)
    expect(load({ WOCHAT_CONFIG: other }).mqttPort).toBe(2)
    expect(load({ WOCHAT_CONFIG: other }, named).mqttPort).toBe(3)
  })

  test('paths of a file start at its folder', () => {
    const file = writeConfig({ tlsCertFile: 'cert.pem', tlsKeyFile: '/keys/key.pem' })
    expect(load({}, file)).toMatchObject({
      tlsCertFile: join(folder, 'cert.pem'),
      tlsKeyFile: '/keys/key.pem',
    })
  })

  test('the example file is taken as it is', () => {
    const config = loadConfig({ env: {}, file: 'deploy/wochat.example.json' })
    expect(config).toMatchObject({ dataDir: '/var/lib/wochat', refreshTokenTtlMs: 60 * 86_400_000 })
  })
})

describe('values', () => {
  test.each([
    ['250ms', 250],
    ['2.5s', 2500],
    ['1m', 60_000],
    ['5000', 5000],
  ])('a duration of %s is %i ms', (text, ms) => {
    expect(load({ WOCHAT_ACK_TIMEOUT_MS: text }).ackTimeoutMs).toBe(ms)
  })

  test('a duration counted in seconds takes the same suffixes', () => {
    expect(load({ WOCHAT_SESSION_EXPIRY_SECONDS_MAX: '7d' }).sessionExpirySecondsMax).toBe(604_800)
    expect(load({ WOCHAT_SESSION_EXPIRY_SECONDS_MAX: '90' }).sessionExpirySecondsMax).toBe(90)
  })

  test.each([
    ['16KB', 16_384],
    ['1MB', 1_048_576],
    ['2048', 2048],
  ])('a size of %s is %i bytes', (text, size) => {
    expect(load({ WOCHAT_CONNECT_PACKET_BYTES_MAX: text }).connectPacketBytesMax).toBe(size)
  })

  test('issuers are JSON in the environment and an array in the file', () => {
    const issuers = [{ issuer: 'https://idp.example', audience: 'wochat', jwks: '/etc/idp.json' }]
    expect(load({ WOCHAT_ISSUERS: JSON.stringify(issuers) }).issuers).toEqual(issuers)
    expect(load({}, writeConfig({ issuers })).issuers).toEqual(issuers)
  })

  test('a secret is given by reveal only', () => {
    const config = load({
      WOCHAT_SMS: 'webhook',
      WOCHAT_SMS_WEBHOOK_URL: 'https://s.example/',
      WOCHAT_SMS_WEBHOOK_SECRET: 'hush-hush',
    })
    expect(config.smsWebhookSecret?.reveal()).toBe('hush-hush')
    const printed = [
      inspect(config, { depth: 9 }),
      JSON.stringify(config),
      JSON.stringify(describeConfig(config)),
      `${config.smsWebhookSecret}`,
    ]
    for (const text of printed) expect(text).not.toContain('hush-hush')
  })
})

describe('refusals', () => {
  test.each<[string, Environment, RegExp]>([
    ['an unknown variable', { WOCHAT_MQTT_PROT: '1' }, /^WOCHAT_MQTT_PROT: /],
    [
      'a port out of range',
      { WOCHAT_MQTT_PORT: '70000' },
      /^mqttPort \(WOCHAT_MQTT_PORT\): "70000" .* 65535$/,
    ],
    ['a port that is no number', { WOCHAT_HTTP_PORT: 'http' }, /^httpPort /],
    ['a duration below its range', { WOCHAT_STOP_TIMEOUT_MS: '1ms' }, /^stopTimeoutMs .* 1s to 10m$/],
    ['a duration of another unit', { WOCHAT_STOP_TIMEOUT_MS: '5MB' }, /^stopTimeoutMs /],
    ['a fraction of a unit', { WOCHAT_ACK_TIMEOUT_MS: '100.5' }, /^ackTimeoutMs /],
    ['a flag that is neither', { WOCHAT_OPEN_PLAIN: 'maybe' }, /^openPlain .*neither true nor false/],
    ['a choice outside its list', { WOCHAT_SMS: 'pigeon' }, /^sms .*console, webhook/],
    ['an address that is none', { WOCHAT_MQTT_HOST: 'a b' }, /^mqttHost /],
    ['an origin with a path', { WOCHAT_ALLOWED_ORIGINS: 'https://a.example/x' }, /^allowedOrigins /],
    ['issuers that are not JSON', { WOCHAT_ISSUERS: '[{' }, /^issuers .*not JSON/],
    [
      'an issuer without a field',
      { WOCHAT_ISSUERS: '[{"issuer":"a","audience":"b"}]' },
      /^issuers .*lacks "jwks"/,
    ],
    [
      'an issuer of our own name',
      { WOCHAT_ISSUERS: '[{"issuer":"wochat","audience":"b","jwks":"c"}]' },
      /^issuers .*tokenIssuer/,
    ],
    ['a role that is none', { WOCHAT_ROLES: 'broker,cook' }, /^roles .*cook/],
    ['some of the roles', { WOCHAT_ROLES: 'broker,api' }, /^roles .*databaseUrl and redisUrl/],
    ['a database', { WOCHAT_DATABASE_URL: 'postgres://u:hush@db/x' }, /^databaseUrl .*redisUrl/],
    ['a Redis', { WOCHAT_REDIS_URL: 'redis://:hush@cache' }, /^redisUrl .*databaseUrl/],
    ['two listeners on one port', { WOCHAT_HTTP_PORT: '1883' }, /^httpPort .*1883 is mqttPort/],
    ['a certificate without a key', { WOCHAT_TLS_CERT_FILE: 'c.pem' }, /^tlsCertFile .*tlsKeyFile/],
    ['a key without a certificate', { WOCHAT_TLS_KEY_FILE: 'k.pem' }, /^tlsKeyFile .*tlsCertFile/],
    ['a TLS port without a certificate', { WOCHAT_MQTT_TLS_PORT: '8884' }, /^mqttTlsPort .*tlsCertFile/],
    ['the open profile off loopback', { WOCHAT_OPEN_PLAIN: 'true' }, /^openPlain .*mqttHost/],
    ['a webhook without its address', { WOCHAT_SMS: 'webhook' }, /^sms .*smsWebhookUrl/],
    ['an address for no webhook', { WOCHAT_SMS_WEBHOOK_URL: 'https://s.example' }, /^smsWebhookUrl /],
    [
      'packets smaller than payloads',
      { WOCHAT_PAYLOAD_BYTES_MAX: '1MB' },
      /^packetBytesMax .*payloadBytesMax/,
    ],
    [
      'a refresh token shorter than an access token',
      { WOCHAT_ACCESS_TOKEN_TTL_MS: '30d', WOCHAT_REFRESH_TOKEN_TTL_MS: '1d' },
      /^refreshTokenTtlMs /,
    ],
  ])('%s is refused by the name of the setting', (_, env, expected) => {
    const message = refusal(env)
    expect(message).toMatch(expected)
    expect(message).not.toContain('hush')
  })

  test.each<[string, unknown, RegExp]>([
    ['an unknown key', { mqttProt: 1 }, /"mqttProt" \(in .*test\.json\)/],
    ['a key of every object', '{"__proto__": {"mqttPort": 1}}', /"__proto__"/],
    ['a wrong value', { mqttPort: 'x' }, /^mqttPort \(in .*test\.json\)/],
    ['text for a list of roles', { roles: [1] }, /^roles /],
    ['what is not JSON', '{', /^configuration file .*test\.json: /],
    ['what is not an object', [], /not a JSON object/],
  ])('a file with %s is refused by name', (_, content, expected) => {
    expect(refusal({}, writeConfig(content))).toMatch(expected)
  })

  test('a named file that is not there is refused', () => {
    expect(refusal({}, join(folder, 'none.json'))).toMatch(/^configuration file .*none\.json: ENOENT/)
  })

  test('a file in the data folder cannot move the data folder', () => {
    mkdirSync(join(folder, 'data'))
    writeConfig({ dataDir: '/elsewhere' }, 'data/wochat.json')
    expect(refusal({})).toMatch(/^dataDir \(in /)
  })
})

test('the open profile is taken when every listener is on loopback', () => {
  const env = {
    WOCHAT_OPEN_PLAIN: '1',
    WOCHAT_MQTT_HOST: '127.0.0.1',
    WOCHAT_HTTP_HOST: 'localhost',
    WOCHAT_ADMIN_HOST: '::1',
  }
  expect(load(env).openPlain).toBe(true)
})

test('a name that only looks like loopback is not loopback', () => {
  for (const host of ['127.0.0.1', '127.8.9.10', '::1', 'localhost'])
    expect(isLoopback(host), host).toBe(true)
  for (const host of ['0.0.0.0', '::', '127.0.0.1.example', 'localhost.example', '10.0.0.1'])
    expect(isLoopback(host), host).toBe(false)
})

test('several listeners may all ask for any free port', () => {
  const env = {
    WOCHAT_MQTT_PORT: '0',
    WOCHAT_MQTT_TLS_PORT: '0',
    WOCHAT_HTTP_PORT: '0',
    WOCHAT_ADMIN_PORT: '0',
  }
  expect(load(env)).toMatchObject({ mqttPort: 0, mqttTlsPort: 0, httpPort: 0, adminPort: 0 })
})

test('a store that nobody configures has the rules that are the defaults of the configuration', () => {
  expect(policyOf(load())).toEqual(DEFAULT_POLICY)
})

test('the description has one row for every option with value, unit, default and source', () => {
  const rows = describeConfig(load({ WOCHAT_ACK_TIMEOUT_MS: '5s' }))
  expect(rows.map((row) => row.name)).toEqual(OPTION_NAMES)
  expect(rows.find((row) => row.name === 'ackTimeoutMs')).toMatchObject({
    env: 'WOCHAT_ACK_TIMEOUT_MS',
    type: 'duration',
    unit: 'ms',
    default: '1m',
    range: '100ms to 1h',
    value: '5s',
    source: 'environment',
  })
})
