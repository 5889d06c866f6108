/**
 * The container image, as far as it can be tried without an engine: the Dockerfile keeps the rules, and what it copies
 * really starts, as a user without rights, by the script that it names.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { validate } from 'dockerfile-utils'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { LogBuffer } from '../harness/log-buffer.ts'
import { findFreePort } from '../harness/ports.ts'
import { cleanEnv, REPO } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'
import { type DockerfileInstruction, readDockerfile } from './dockerfile.ts'
import { knock, overTcp } from './door.ts'

const DOCKERFILE = readFileSync(join(REPO, 'deploy/Dockerfile'), 'utf8')
const IGNORED = readFileSync(join(REPO, 'deploy/Dockerfile.dockerignore'), 'utf8')
const stages = readDockerfile(DOCKERFILE)
const final = stages.at(-1)!
const valuesOf = (name: string, from: readonly DockerfileInstruction[] = final) =>
  from.filter((each) => each.name === name).map((each) => each.value)

/** [sources, destination] of every COPY from the repository. */
const COPIES = valuesOf('COPY')
  .filter((value) => !value.startsWith('--from'))
  .map((value) => value.split(/\s+/))
  .map((words) => [words.slice(0, -1), words.at(-1)!] as const)

describe('the Dockerfile', () => {
  test('is accepted by the linter', () => {
    expect(validate(DOCKERFILE)).toEqual([])
  })

  test('pins its base to a version, the one that the project runs on', () => {
    const bases = stages.flatMap((stage) => valuesOf('FROM', stage)).map((value) => value.split(' ')[0])
    expect(new Set(bases).size).toBe(1)
    const major = /"node": "(\d+)\./.exec(readFileSync(join(REPO, 'package.json'), 'utf8'))![1]
    expect(bases[0]).toMatch(new RegExp(`^node:${major}-`))
  })

  test('runs as a user without rights, set after the last instruction that needs them', () => {
    const names = final.map(({ name }) => name)
    expect(valuesOf('USER')).toEqual(['node'])
    expect(names.lastIndexOf('RUN')).toBeLessThan(names.indexOf('USER'))
  })

  test('stops by the signal that the server knows, says how healthy it is, and starts in exec form', () => {
    expect(valuesOf('STOPSIGNAL')).toEqual(['SIGTERM'])
    expect(valuesOf('HEALTHCHECK')).toHaveLength(1)
    expect(JSON.parse(valuesOf('ENTRYPOINT')[0]!)).toEqual(['/app/deploy/container/start.sh'])
    expect(JSON.parse(valuesOf('CMD')[0]!)).toEqual(['serve'])
  })

  test('installs what production needs, from the lock file, and adds nothing from the net', () => {
    expect(valuesOf('RUN', stages[0]!).join()).toMatch(/^npm ci --omit=dev /)
    expect(stages.flat().filter(({ name }) => name === 'ADD')).toEqual([])
    expect(DOCKERFILE).not.toMatch(/curl|wget|npm install|:latest/)
  })

  test('holds no secret', () => {
    expect([...valuesOf('ENV'), ...valuesOf('ARG')].join(' ')).not.toMatch(/SECRET|PASSWORD|TOKEN|URL/)
  })

  test('copies what is there, and its ignore file lets exactly that in', () => {
    const allowed = new Set([...IGNORED.matchAll(/^!(.+)$/gm)].map((match) => match[1]))
    const sources = [...COPIES.flatMap(([from]) => from), 'package-lock.json']
    for (const source of sources) {
      for (const path of expand(source)) expect(existsSync(join(REPO, path)), path).toBe(true)
      expect(allowed.has(source), `${source} in Dockerfile.dockerignore`).toBe(true)
    }
    expect([...allowed].filter((path) => !sources.includes(path!))).toEqual([])
  })
})

describe('the files of the image', () => {
  const USER = 65_534
  const START_MS = 60_000
  let root: string
  let app: string
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'wochat-image-'))
    app = join(root, 'app')
    layOut(app)
    const install = spawnSync(
      'npm',
      ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'],
      { cwd: app, encoding: 'utf8' },
    )
    expect(install.status, install.stderr).toBe(0)
    mkdirSync(join(root, 'data'))
    spawnSync('chown', [`${USER}`, join(root, 'data')])
    chmodSync(root, 0o755)
  }, 120_000)
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  /** As a user without rights where the test may become one, with the Node that the tests run on. */
  const asNobody = () => ({
    env: cleanEnv({
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      NODE_ENV: 'production',
      WOCHAT_DATA_DIR: join(root, 'data'),
      WOCHAT_MQTT_HOST: '127.0.0.1',
      WOCHAT_HTTP_HOST: '127.0.0.1',
    }),
    ...(process.getuid?.() === 0 && { uid: USER, gid: USER }),
  })

  test(
    'start, are healthy, serve a client, and stop on the stop signal',
    async () => {
      const ports = [await findFreePort(), await findFreePort(), await findFreePort()] as const
      const options = asNobody()
      Object.assign(options.env, {
        WOCHAT_MQTT_PORT: String(ports[0]),
        WOCHAT_HTTP_PORT: String(ports[1]),
        WOCHAT_ADMIN_PORT: String(ports[2]),
        WOCHAT_NODE_NAME: 'broker-0',
      })
      const log = new LogBuffer()
      const server = spawn(join(app, 'deploy/container/start.sh'), ['serve'], options)
      for (const stream of [server.stdout, server.stderr])
        stream.on('data', (chunk) => log.push(String(chunk)))
      onTestFailed(() => console.error(log.text))
      const ended = once(server, 'exit')
      const health = () =>
        spawnSync(process.execPath, [join(app, 'deploy/container/health.ts')], options).status
      expect(health()).toBe(1)
      const isOver = () => server.exitCode !== null || health() === 0
      await until(isOver, 'the container to be healthy', START_MS)
      expect(await knock(overTcp, { port: ports[0], from: '127.0.0.1' })).toBe('counted')
      const drain = spawnSync(join(app, 'deploy/container/drain.sh'), [], { ...options, encoding: 'utf8' })
      expect(drain.status, drain.stderr).toBe(0)
      expect(drain.stderr).not.toContain('not drained')
      server.kill('SIGTERM')
      expect(await within(ended, 'the server to stop')).toEqual([0, null])
    },
    2 * START_MS,
  )

  test('a drain that fails does not keep the container from stopping, and says so', () => {
    const options = asNobody()
    Object.assign(options.env, { WOCHAT_NODE_NAME: 'broker-0', WOCHAT_ADMIN_PORT: '1' })
    const drain = spawnSync(join(app, 'deploy/container/drain.sh'), [], { ...options, encoding: 'utf8' })
    expect(drain).toMatchObject({ status: 0, stderr: expect.stringContaining('was not drained') })
  })

  test('read secrets from files, and refuse a secret that is given twice or cannot be read', () => {
    const secret = join(root, 'database_url')
    writeFileSync(secret, 'postgres://wochat:pw@db/wochat\n', { mode: 0o644 })
    const config = (env: Record<string, string>) => {
      const { env: base, ...user } = asNobody()
      const run = spawnSync(join(app, 'deploy/container/start.sh'), ['config', '--json'], {
        ...user,
        env: { ...base, WOCHAT_REDIS_URL: 'redis://r:6379', ...env },
        encoding: 'utf8',
      })
      return { status: run.status, out: run.stdout, error: run.stderr }
    }
    const good = config({ WOCHAT_DATABASE_URL_FILE: secret })
    expect(good.status, good.error).toBe(0)
    const row = (JSON.parse(good.out) as { name: string; value: string; source: string }[]).find(
      ({ name }) => name === 'databaseUrl',
    )
    expect(row).toMatchObject({ source: 'environment', value: '[redacted]' })
    const twice = config({ WOCHAT_DATABASE_URL_FILE: secret, WOCHAT_DATABASE_URL: 'postgres://x/y' })
    expect(twice).toMatchObject({ status: 1, error: expect.stringContaining('are both set') })
    const missing = config({ WOCHAT_DATABASE_URL_FILE: '/nowhere' })
    expect(missing).toMatchObject({ status: 1, error: expect.stringContaining('cannot be read') })
  })
})

/** The one pattern of the Dockerfile: the program's files in the root. */
function expand(source: string): string[] {
  if (!source.includes('*')) return [source]
  expect(source).toBe('*.ts')
  return readdirSync(REPO).filter((name) => name.endsWith('.ts') && name !== 'vitest.config.ts')
}

/** The files of the image as the Dockerfile lays them out, without what its ignore file keeps back. */
function layOut(app: string): void {
  mkdirSync(app, { recursive: true })
  cpSync(join(REPO, 'package-lock.json'), join(app, 'package-lock.json'))
  const kept = (path: string) =>
    !/node_modules|\.test\.ts$|-fixture\.ts$/.test(path) && !path.startsWith(join(REPO, 'clients/load'))
  for (const [sources, destination] of COPIES) {
    for (const source of sources.flatMap(expand)) {
      const target = destination === './' ? join(app, source) : join(app, destination)
      cpSync(join(REPO, source), target, { recursive: true, filter: kept })
    }
  }
}
