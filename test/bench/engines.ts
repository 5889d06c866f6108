/** What the nodes of a cluster share, as processes of one run on the broker's core. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { findPostgresFolder } from '../harness/postgres-programs.ts'
import { acceptsConnections, Child, findFreePorts } from './child.ts'
import { findProgram } from './machine.ts'

export interface Engine extends AsyncDisposable {
  readonly name: string
  readonly pid: number
  readonly url: string
  readonly logTail: string
}

interface EngineOptions {
  core: number | undefined
  /** Of this run; the engine makes one of its own in it. */
  folder: string
}

/** As installed, but for the number of connections and the memory: every commit waits for its fsync. */
const POSTGRES_SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
}

/** `volatile`: what it holds can be rebuilt. `everysec`: its log of commands, with an fsync each second. */
type RedisDurability = 'volatile' | 'everysec'

export function canStartPostgres(): boolean {
  return findPostgresFolder() !== undefined
}

export function canStartRedis(): boolean {
  return findProgram('redis-server') !== undefined
}

export async function startPostgres({ core, folder }: EngineOptions): Promise<Engine> {
  const programs = findPostgresFolder()
  if (programs === undefined) throw new Error('PostgreSQL is not installed')
  const data = makeServerFolder(folder)
  const locale = ['--locale=C.UTF-8', '--encoding=UTF8']
  const initdb = asServerUser([path.join(programs, 'initdb'), '-D', data, '-U', 'postgres', ...locale])
  const { status, stderr } = spawnSync(initdb[0]!, initdb.slice(1), { cwd: data })
  if (status !== 0) throw new Error(`initdb failed: ${stderr}`)
  const [port] = await findFreePorts(1)
  const settings = Object.entries(POSTGRES_SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const command = [path.join(programs, 'postgres'), '-D', data, '-p', String(port), ...settings]
  const child = new Child({ name: 'PostgreSQL', command: asServerUser(command), core, cwd: data })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  return ready(child, url, () => child.logTail.includes('ready to accept connections'))
}

export async function startRedis(
  { core, folder }: EngineOptions,
  durability: RedisDurability,
): Promise<Engine> {
  const [port] = await findFreePorts(1)
  const data = path.join(folder, 'redis')
  fs.mkdirSync(data)
  const log = durability === 'everysec' ? ['yes', '--appendfsync', 'everysec'] : ['no']
  const command = ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', data]
  const child = new Child({
    name: 'Redis',
    command: [...command, '--save', '', '--appendonly', ...log],
    core,
  })
  return ready(child, `redis://127.0.0.1:${port}`, () => acceptsConnections(port!))
}

async function ready(child: Child, url: string, isReady: () => boolean | Promise<boolean>): Promise<Engine> {
  try {
    await child.waitUntilReady(isReady)
  } catch (error) {
    await child[Symbol.asyncDispose]()
    throw error
  }
  const { name, pid } = child
  return {
    name,
    pid,
    url,
    get logTail() {
      return child.logTail
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}

const isRoot = process.getuid?.() === 0

/** PostgreSQL does not run as root; it ends with the bench. */
function asServerUser(command: readonly string[]): string[] {
  const user = isRoot ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : []
  return ['setpriv', ...user, '--pdeathsig=QUIT', '--', ...command]
}

/** A folder that belongs to the user of the server, who may pass through the one above. */
function makeServerFolder(parent: string): string {
  const folder = path.join(parent, 'postgres')
  fs.mkdirSync(folder, { mode: 0o700 })
  if (!isRoot) return folder
  const numberOf = (flag: string) => Number(spawnSync('id', [flag, 'postgres']).stdout)
  fs.chmodSync(parent, 0o711)
  fs.chownSync(folder, numberOf('-u'), numberOf('-g'))
  return folder
}
