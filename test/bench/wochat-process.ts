import path from 'node:path'
import { Child, findFreePorts } from './child.ts'

export const ROOT = path.join(import.meta.dirname, '../..')
export const ENTRY = path.join(ROOT, 'main.ts')

/** Limits that protect a server from its users; a generator is meant to go past them. */
const SETTINGS = {
  WOCHAT_CONTACTS_REQUIRED: 'false',
  WOCHAT_SENDS_PER_SECOND_MAX: '0',
  WOCHAT_CALLS_PER_SECOND_MAX: '0',
  WOCHAT_COSTLY_CALLS_PER_MINUTE_MAX: '0',
  WOCHAT_CONNECTS_PER_ADDRESS_MAX: '0',
  WOCHAT_GROUP_MEMBERS_MAX: '100000',
  WOCHAT_GC_ON_SIGUSR2: '1',
}

interface ServerOptions {
  name: string
  core: number | undefined
  data: string
  env: Record<string, string>
}

export interface WochatServer {
  readonly child: Child
  readonly mqttPort: number
  readonly httpPort: number
  readonly adminPort: number
}

/** Starts a server on a data folder and waits until it says that it is ready. */
export async function serve({ name, core, data, env }: ServerOptions): Promise<WochatServer> {
  const [mqttPort, httpPort, adminPort] = (await findFreePorts(3)) as [number, number, number]
  const child = new Child({
    name,
    command: [process.execPath, '--expose-gc', ENTRY, 'serve'],
    core,
    cwd: ROOT,
    env: {
      ...SETTINGS,
      WOCHAT_DATA_DIR: data,
      WOCHAT_MQTT_PORT: String(mqttPort),
      WOCHAT_HTTP_PORT: String(httpPort),
      WOCHAT_ADMIN_PORT: String(adminPort),
      ...env,
    },
  })
  try {
    await child.waitUntilReady(() => isReady(adminPort))
    return { child, mqttPort, httpPort, adminPort }
  } catch (error) {
    await child[Symbol.asyncDispose]()
    throw error
  }
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false // Not listening yet, which is what is asked.
  }
}
