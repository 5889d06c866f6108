/** The ports: free for a start, or answered by the server that runs. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, createServer } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { type DoctorSettings, type Finding, fail, ok, warn } from './finding.ts'

const ANSWER_TIMEOUT_MS = 3000

type Listener = {
  option: string
  env: string
  host: string
  port: number
  /** Whether what listens at `host` speaks as ours does. */
  answers: (host: string, port: number) => Promise<boolean>
}

export function checkPorts(settings: DoctorSettings, running: boolean): Promise<Finding[]> {
  return Promise.all(listenersOf(settings).map((listener) => checkPort(listener, running)))
}

function listenersOf(settings: DoctorSettings): Listener[] {
  const { mqttHost, mqttPort, mqttTlsPort, httpHost, httpPort, adminHost, adminPort } = settings
  const tls = settings.tlsCertFile !== null
  const http = (host: string, port: number) =>
    answersHttp({ tls, host, port, path: '/.well-known/jwks.json', field: 'keys' })
  const admin = (host: string, port: number) =>
    answersHttp({ tls: false, host, port, path: '/livez', field: 'live' })
  const listeners: Listener[] = [
    {
      option: 'mqttPort',
      env: 'WOCHAT_MQTT_PORT',
      host: mqttHost,
      port: mqttPort,
      answers: (h, p) => answersMqtt(false, h, p),
    },
    { option: 'httpPort', env: 'WOCHAT_HTTP_PORT', host: httpHost, port: httpPort, answers: http },
    { option: 'adminPort', env: 'WOCHAT_ADMIN_PORT', host: adminHost, port: adminPort, answers: admin },
  ]
  if (tls) {
    listeners.push({
      option: 'mqttTlsPort',
      env: 'WOCHAT_MQTT_TLS_PORT',
      host: mqttHost,
      port: mqttTlsPort,
      answers: (h, p) => answersMqtt(true, h, p),
    })
  }
  return listeners
}

async function checkPort({ option, env, host, port, answers }: Listener, running: boolean): Promise<Finding> {
  const name = `${option} ${port} on ${host}`
  if (port === 0) return ok(`${option} is any free port`)
  const refusal = await tryListen(host, port)
  if (refusal === null) {
    return running
      ? warn(`${name} is free, although a server runs: it was started with other settings`)
      : ok(`${name} is free`)
  }
  if (refusal === 'EACCES') return fail(`${name} needs a right to ports below 1024; give it or set ${env}`)
  if (refusal !== 'EADDRINUSE')
    return fail(`${name} cannot be listened on (${refusal}); set ${env} or the address`)
  if (!(await answers(reachable(host), port)))
    return fail(`${name} is taken by another program; stop it or set ${env}`)
  return running
    ? ok(`${name} answers`)
    : fail(`${name} is answered by a server on another data folder; stop it or set ${env}`)
}

/** Null when the port can be had, else the code of the error. */
function tryListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)))
  })
}

/** Where something that listens on `host` can be reached from here. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

type HttpProbe = { tls: boolean; host: string; port: number; path: string; field: string }

function answersHttp({ tls, host, port, path, field }: HttpProbe): Promise<boolean> {
  const request = tls ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    // Who signed the certificate is not the question here.
    const options = { host, port, path, rejectUnauthorized: false, timeout: ANSWER_TIMEOUT_MS, agent: false }
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk.slice(0, ANSWER_CHARS_MAX - text.length)
      })
      response.once('end', () => resolve(hasField(text, field))).once('error', () => resolve(false))
    })
    sent.once('timeout', () => sent.destroy(new Error('timeout'))).once('error', () => resolve(false))
    sent.end()
  })
}

const ANSWER_CHARS_MAX = 100_000

function hasField(text: string, field: string): boolean {
  try {
    return Object.hasOwn(JSON.parse(text) as object, field)
  } catch {
    return false
  }
}

/** CONNECT of MQTT 3.1.1, clean, client id `doctor`, without credentials: any server of MQTT answers with a CONNACK. */
const CONNECT = Buffer.from('10120004' + '4d515454' + '0402000a' + '0006' + '646f63746f72', 'hex')
const CONNACK = 0x20

function answersMqtt(tls: boolean, host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls ? tlsConnect({ host, port, rejectUnauthorized: false }) : connect({ host, port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => settle(false))
    socket.once('error', () => settle(false)).once('close', () => settle(false))
    socket.once('data', (data) => settle(data[0] === CONNACK))
    socket.write(CONNECT)
  })
}
