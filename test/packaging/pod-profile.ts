/** The restricted profile of the Pod Security Standards, and what we ask of a pod beyond it. Pure. */

export interface Container {
  readonly name: string
  readonly image?: string
  readonly args?: readonly string[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly hostPort?: number }[]
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean
    readonly privileged?: boolean
    readonly readOnlyRootFilesystem?: boolean
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] }
  }
  readonly resources?: { readonly limits?: { readonly memory?: string } }
  readonly [probe: `${string}Probe`]: Probe | undefined
}

export interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string; readonly scheme?: string }
}

export interface PodSpec {
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly automountServiceAccountToken?: boolean
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean
    readonly runAsUser?: number
    readonly seccompProfile?: { readonly type?: string }
  }
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes?: readonly Readonly<Record<string, unknown>>[]
}

const volumeKinds = new Set(['configMap', 'secret', 'emptyDir', 'persistentVolumeClaim', 'projected', 'downwardAPI'])

/** What the pod has that it must not have, or lacks; empty for none. */
export function podFaults(pod: PodSpec): readonly string[] {
  const { runAsNonRoot, runAsUser, seccompProfile } = pod.securityContext ?? {}
  const faults: readonly (readonly [boolean, string])[] = [
    [pod.hostNetwork === true || pod.hostPID === true || pod.hostIPC === true, 'a namespace of the host'],
    [runAsNonRoot !== true || runAsUser === undefined || runAsUser === 0, 'root'],
    [seccompProfile?.type !== 'RuntimeDefault', 'no seccomp profile'],
    [pod.automountServiceAccountToken !== false, 'a token for the API server'],
    [(pod.volumes ?? []).some((volume) => Object.keys(volume).some(isForeign)), 'a volume of another kind'],
  ]
  return [
    ...faults.filter(([wrong]) => wrong).map(([, what]) => what),
    ...[...(pod.initContainers ?? []), ...pod.containers].flatMap(containerFaults),
  ]
}

const isForeign = (key: string): boolean => key !== 'name' && !volumeKinds.has(key)

function containerFaults({
  name,
  image = '',
  ports = [],
  securityContext = {},
  resources,
}: Container): readonly string[] {
  const { allowPrivilegeEscalation, privileged, readOnlyRootFilesystem, capabilities } = securityContext
  const faults: readonly (readonly [boolean, string])[] = [
    [allowPrivilegeEscalation !== false || privileged === true, 'privileges'],
    [readOnlyRootFilesystem !== true, 'a file system that can be written'],
    [capabilities?.drop?.join() !== 'ALL' || (capabilities.add ?? []).length > 0, 'capabilities'],
    [ports.some(({ hostPort }) => hostPort !== undefined), 'a port of the host'],
    [resources?.limits?.memory === undefined, 'no limit of memory'],
    [!/^[\w./-]+:\d+\.\d+\.\d+$/.test(image), 'an image without a version'],
  ]
  return faults.filter(([wrong]) => wrong).map(([, what]) => `${name}: ${what}`)
}
