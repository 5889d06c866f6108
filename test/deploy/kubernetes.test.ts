/** The Kubernetes manifests: their form by the schemas of the API, their promises by what they say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  PrometheusRule,
  ServiceMonitor,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'
import { Deployment, type IStatefulSet, StatefulSet } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { type INetworkPolicy, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { type IPodDisruptionBudget, PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, type IConfigMap, type IService, Namespace, Service } from 'kubernetes-models/v1'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { type Config, loadConfig } from '../../config.ts'
import { REPO } from '../harness/server.ts'

const FOLDER = join(REPO, 'deploy/kubernetes')
const read = (file: string) => readFileSync(join(FOLDER, file), 'utf8')

type Manifest = { kind: string; apiVersion: string; metadata: { name: string } }
type Validated = { validate(): void }

const KINDS = new Map<string, new (data: never) => Validated>([
  ['v1/Namespace', Namespace],
  ['v1/ConfigMap', ConfigMap],
  ['v1/Service', Service],
  ['apps/v1/StatefulSet', StatefulSet],
  ['apps/v1/Deployment', Deployment],
  ['policy/v1/PodDisruptionBudget', PodDisruptionBudget],
  ['autoscaling/v2/HorizontalPodAutoscaler', HorizontalPodAutoscaler],
  ['networking.k8s.io/v1/NetworkPolicy', NetworkPolicy],
  ['monitoring.coreos.com/v1/ServiceMonitor', ServiceMonitor],
  ['monitoring.coreos.com/v1/PrometheusRule', PrometheusRule],
])

const { resources, images } = parse(read('kustomization.yaml')) as {
  resources: string[]
  images: { name: string }[]
}
const manifests = resources.flatMap((file) =>
  parseAllDocuments(read(file)).map((document) => document.toJS() as Manifest),
)
const titled = manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const)
/** All of a kind; a Deployment and a StatefulSet are read alike. */
const ofKind = <Form>(...kinds: string[]) => manifests.filter(({ kind }) => kinds.includes(kind)) as Form[]

type Workload = IStatefulSet & Manifest
const workloads = ofKind<Workload>('StatefulSet', 'Deployment')
const podOf = (workload: Workload) => workload.spec!.template.spec!
const containerOf = (workload: Workload) => podOf(workload).containers[0]!
const labelsOf = (workload: Workload) => workload.spec!.template.metadata!.labels!

describe.each(titled)('%s', (_, manifest) => {
  test('has the form that the API takes', () => {
    const Kind = KINDS.get(`${manifest.apiVersion}/${manifest.kind}`)
    expect(Kind, `${manifest.apiVersion} ${manifest.kind}`).toBeDefined()
    new Kind!(manifest as never).validate()
  })
})

test('the schemas find a mistake', () => {
  expect(() => new StatefulSet({ spec: { replicas: 'three' } } as never).validate()).toThrow(
    /replicas|selector/,
  )
})

test('kustomize is given every file of the folder, but for the rule of the adapter', () => {
  const files = readdirSync(FOLDER).filter(
    (name) => !['kustomization.yaml', 'prometheus-adapter.yaml'].includes(name),
  )
  expect([...resources].sort()).toEqual(files.sort())
})

test('there are brokers, API nodes and fan-out workers, each more than one', () => {
  expect(workloads.map(({ metadata }) => metadata.name).sort()).toEqual(['api', 'broker', 'fanout'])
  for (const workload of workloads) expect(workload.spec?.replicas).toBeGreaterThan(1)
  expect(images[0]?.name).toBe(containerOf(workloads[0]!).image)
})

/** The configuration that the server of a pod would run with. */
function configOf(workload: Workload): Config {
  const [settings] = ofKind<IConfigMap>('ConfigMap')
  const env: Record<string, string> = {
    ...settings!.data,
    WOCHAT_DATABASE_URL: 'postgres://wochat:pw@db/wochat',
    WOCHAT_REDIS_URL: 'redis://redis:6379',
    WOCHAT_SMS_WEBHOOK_SECRET: 'x',
    WOCHAT_DATA_DIR: '/nowhere',
  }
  for (const { name, value, valueFrom } of containerOf(workload).env ?? []) {
    if (!name.startsWith('WOCHAT_')) continue
    env[name] = valueFrom === undefined ? value!.replace('$(POD_IP)', '10.1.2.3') : 'broker-0'
  }
  return loadConfig({ env })
}

describe.each(workloads.map((workload) => [workload.metadata.name, workload] as const))(
  '%s',
  (name, workload) => {
    const pod = podOf(workload)
    const container = containerOf(workload)

    test('starts with its settings: the server takes each of them', () => {
      const config = configOf(workload)
      expect(config.roles).toContain(name)
      expect(config.adminUrl).toBe('http://10.1.2.3:9090')
      expect(container.envFrom?.map((from) => Object.keys(from)[0])).toEqual(['configMapRef', 'secretRef'])
    })

    test('is asked on the admin port: alive by /livez, ready by /readyz', () => {
      expect(container.livenessProbe?.httpGet).toMatchObject({ path: '/livez', port: 'admin' })
      expect(container.startupProbe?.httpGet).toMatchObject({ path: '/livez', port: 'admin' })
      expect(container.readinessProbe?.httpGet).toMatchObject({ path: '/readyz', port: 'admin' })
      const admin = container.ports?.find((port) => port.name === 'admin')
      expect(admin?.containerPort).toBe(configOf(workload).adminPort)
      expect(configOf(workload).adminHost).toBe('0.0.0.0')
    })

    test('turns red for longer than the probe takes to see it, and is given the time to stop', () => {
      const { periodSeconds, failureThreshold, timeoutSeconds } = container.readinessProbe!
      const seenAfterMs = (periodSeconds! * failureThreshold! + timeoutSeconds!) * 1000
      const { readyDelayMs, stopTimeoutMs } = configOf(workload)
      expect(readyDelayMs).toBeGreaterThan(seenAfterMs)
      const drainS = name === 'broker' ? drainTimeoutS() : 0
      expect(pod.terminationGracePeriodSeconds! - drainS).toBeGreaterThan(
        (readyDelayMs + stopTimeoutMs) / 1000,
      )
    })

    test('runs without rights, on a file system that it cannot change', () => {
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      expect(container.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      expect(pod.automountServiceAccountToken).toBe(false)
      expect(container.volumeMounts?.map(({ mountPath }) => mountPath)).toContain('/var/lib/wochat')
      expect(container.resources?.limits).toHaveProperty('memory')
    })

    test('loses at most one pod at a time to what the cluster does by itself', () => {
      const budget = ofKind<IPodDisruptionBudget & Manifest>('PodDisruptionBudget').find(
        ({ metadata }) => metadata.name === name,
      )
      expect(budget?.spec?.maxUnavailable).toBe(1)
      expect(labelsOf(workload)).toMatchObject(budget!.spec!.selector!.matchLabels!)
    })

    test('is watched by Prometheus and reached by nobody else on its admin port', () => {
      const [monitor] = ofKind<{ spec: { selector: { matchLabels: object } } }>('ServiceMonitor')
      const services = ofKind<IService & Manifest>('Service').filter(({ spec }) =>
        matches(spec!.selector!, workload),
      )
      const watched = services.filter(({ metadata }) =>
        Object.entries(monitor!.spec.selector.matchLabels).every(
          ([key, value]) => (metadata as { labels?: Record<string, string> }).labels?.[key] === value,
        ),
      )
      expect(watched).toHaveLength(1)
      const policies = ofKind<INetworkPolicy>('NetworkPolicy').flatMap(({ spec }) => spec?.ingress ?? [])
      const admin = policies.filter((rule) => rule.ports?.some(({ port }) => port === 'admin'))
      expect(admin).toHaveLength(1)
      expect(policies.every((rule) => (rule.from?.length ?? 0) > 0)).toBe(true)
    })
  },
)

function matches(selector: Record<string, string>, workload: Workload): boolean {
  return Object.entries(selector).every(([key, value]) => labelsOf(workload)[key] === value)
}

function drainTimeoutS(): number {
  const script = readFileSync(join(REPO, 'deploy/container/drain.sh'), 'utf8')
  return Number(/DRAIN_TIMEOUT_SECONDS:-(\d+)/.exec(script)![1])
}

test('services lead to ports that their pods open', () => {
  for (const { metadata, spec } of ofKind<IService & Manifest>('Service')) {
    const workload = workloads.find((each) => matches(spec!.selector!, each))
    const open = containerOf(workload!).ports?.map(({ name }) => name)
    for (const { targetPort } of spec!.ports!) expect(open, metadata.name).toContain(targetPort)
  }
})

test('a broker is drained before it stops, by a command that is in the image', () => {
  const broker = workloads.find(({ metadata }) => metadata.name === 'broker')!
  const command = containerOf(broker).lifecycle?.preStop?.exec?.command
  expect(command).toEqual(['/app/deploy/container/drain.sh'])
  expect(existsSync(join(REPO, command![0]!.replace('/app/', '')))).toBe(true)
})

test('brokers are added by their connections, and taken away slowly', () => {
  const [scaler] = ofKind<HorizontalPodAutoscaler>('HorizontalPodAutoscaler')
  expect(scaler?.spec?.scaleTargetRef).toMatchObject({ kind: 'StatefulSet', name: 'broker' })
  const metric = scaler?.spec?.metrics?.[0]?.pods
  expect(metric?.metric.name).toBe('wochat_connections')
  const broker = workloads.find(({ metadata }) => metadata.name === 'broker')!
  expect(Number(metric?.target.averageValue)).toBeLessThan(configOf(broker).connectionsMax)
  expect(scaler?.spec?.minReplicas).toBe(broker.spec?.replicas)
  expect(scaler?.spec?.behavior?.scaleDown?.stabilizationWindowSeconds).toBeGreaterThanOrEqual(600)
  expect(parse(read('prometheus-adapter.yaml'))).toMatchObject({
    rules: [{ name: { as: 'wochat_connections' } }],
  })
})

test('no secret stands in the manifests', () => {
  const text = resources.map(read).join('\n')
  expect(text).not.toMatch(/kind: Secret|postgres:\/\/|redis:\/\/|password:/i)
})

test("the operator's rules are the alerts of deploy/prometheus", () => {
  const [rules] = ofKind<{ spec: unknown }>('PrometheusRule')
  expect(rules?.spec).toEqual(parse(readFileSync(join(REPO, 'deploy/prometheus/alerts.yaml'), 'utf8')))
})
