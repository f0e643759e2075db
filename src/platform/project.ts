/** The project's address, for readers without its files. script/generate writes it from package.json. */
const home = "https://github.com/OWNER/quay-keyless-login";

/** What a workflow has in `uses`. */
export const actionAddress = "OWNER/quay-keyless-login@v1";

/** The address of a document. @param name relative to the folder docs */
export const documentUrl = (name: string): string => `${home}/blob/main/docs/${name}`;

/** The address of a file's content, for programs. @param path from the repository's root */
export const fileUrl = (path: string): string => `${home}/raw/main/${path}`;

/** The address of an error's explanation. */
export const explanationUrl = (code: string): string => documentUrl(`troubleshooting.md#${code}`);
