/** Where this project is at home, for readers far from its files. OWNER is the account that the repository lives under. */
const home = "https://github.com/OWNER/quay-keyless-login";

/** The address of a document, named as from the folder docs. */
export const documentUrl = (name: string): string => `${home}/blob/main/docs/${name}`;

/** Where an error is explained. */
export const explanationUrl = (code: string): string => documentUrl(`troubleshooting.md#${code}`);
