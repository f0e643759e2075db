/** Parses manifests and descriptors from registries, and checks them before they are used. Pure. */
import { isObject, parseObject } from "../platform/json.ts";

/** OCI image specification, "Content descriptors"; other fields are left out. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
}

export interface Platform {
  readonly os?: string;
  readonly architecture?: string;
  readonly variant?: string;
}

/** An index has `manifests`, an image `config` and `layers`, none has both (OCI image specification). */
export type ManifestContent = Common &
  (
    | { readonly manifests: readonly Descriptor[] }
    | { readonly manifests?: never; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  );

interface Common {
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: Descriptor;
}

/** A digest of one of the two registered algorithms (OCI image specification, "Digests"). */
export const isDigest = (value: unknown): value is string =>
  typeof value === "string" && /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(value);

/** @returns undefined if the text is neither an image's manifest nor an index, or one of its fields is invalid */
export function readManifest(text: string): ManifestContent | undefined {
  const raw = parseObject(text);
  if (raw === undefined) {
    return undefined;
  }
  const [manifests, config, layers] = [listOf(raw.manifests), readDescriptor(raw.config), listOf(raw.layers)];
  const subject = isAbsent(raw.subject) ? undefined : readDescriptor(raw.subject);
  const isSound =
    optional(raw.mediaType, isText) &&
    optional(raw.artifactType, isText) &&
    optional(raw.annotations, isTexts) &&
    (subject !== undefined || isAbsent(raw.subject));
  if (!isSound) {
    return undefined;
  }
  const common = { ...typed(raw), ...(subject && { subject }) };
  // Another program may read an ambiguous one differently (CVE-2021-41190).
  if (manifests !== undefined) {
    return isAbsent(raw.config) && isAbsent(raw.layers) ? { ...common, manifests } : undefined;
  }
  const isImage = isAbsent(raw.manifests) && config !== undefined;
  return isImage && layers !== undefined ? { ...common, config, layers } : undefined;
}

/** @returns undefined if it is not a list of descriptors */
export function readDescriptors(value: unknown): readonly Descriptor[] | undefined {
  return Array.isArray(value) ? listOf(value) : undefined;
}

/** @returns undefined if it is not a descriptor, or its digest, size or type is invalid */
function readDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) {
    return undefined;
  }
  const { mediaType, digest, size, platform } = value;
  const isSound =
    isText(mediaType) &&
    isDigest(digest) &&
    isSize(size) &&
    optional(value.artifactType, isText) &&
    optional(value.annotations, isTexts) &&
    optional(platform, isPlatform);
  return isSound
    ? { mediaType, digest, size, ...typed(value), ...(isAbsent(platform) ? {} : { platform }) }
    : undefined;
}

const isText = (value: unknown): value is string => typeof value === "string";

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

const isTexts = (value: unknown): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every(isText);

const isPlatform = (value: unknown): value is Platform =>
  isObject(value) && [value.os, value.architecture, value.variant].every((each) => optional(each, isText));

/** A Go program writes an empty field as null. */
const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null;

function optional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined | null {
  return isAbsent(value) || is(value);
}

function listOf(value: unknown): readonly Descriptor[] | undefined {
  if (!Array.isArray(value)) {
    return undefined;
  }
  const found = value.map(readDescriptor);
  return found.every((each) => each !== undefined) ? found : undefined;
}

const typed = ({ artifactType, annotations }: Readonly<Record<string, unknown>>) => ({
  ...(isText(artifactType) && { artifactType }),
  ...(isTexts(annotations) && { annotations }),
});

/** RFC 6838, 4.2. */
export const isMediaType = (value: unknown): value is string =>
  typeof value === "string" && /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}$/.test(value);
