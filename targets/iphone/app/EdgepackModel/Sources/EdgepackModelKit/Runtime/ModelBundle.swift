import CryptoKit
import Foundation

/// The bundle's files in a folder, of which each was hashed and is the one that edgepack.json lists.
public struct ModelBundle: Sendable {
    /// The folder of the files.
    public let folder: URL
    let manifest: Manifest
    /// SHA-256 of edgepack.json, by which the bundle is known.
    let version: String

    // edgepack:if package
    /// The bundle in this package's resources. Throws `ModelError.bundleDamaged`.
    // edgepack:end
    // edgepack:if background-assets
    /// The bundle in the app's asset pack, which `fetch` waits for. Throws `ModelError.download`, `bundleDamaged`.
    // edgepack:end
    public static func included() throws -> ModelBundle {
        // edgepack:if package
        if let folder = Bundle.module.url(forResource: "bundle", withExtension: nil) {
            return try ModelBundle(folder: folder)
        }
        throw ModelError.bundleDamaged("the package's resources hold no folder \"bundle\"")
        // edgepack:end
        // edgepack:if background-assets
        if let folder = local { return try ModelBundle(folder: folder) }
        throw ModelError.download("the asset pack is not here: ModelBundle.fetch waits for it")
        // edgepack:end
    }

    /// Reads and checks the bundle in `folder`.
    ///
    /// Throws `ModelError.bundleDamaged`, which names model and tokenizer where one of them is not the bundle's.
    public init(folder: URL) throws {
        self.folder = folder
        guard let content = try? Data(contentsOf: folder.appending(path: "edgepack.json")) else {
            throw ModelError.bundleDamaged("\(folder.path) holds no edgepack.json")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            manifest = try decoder.decode(Manifest.self, from: content)
        } catch {
            throw ModelError.bundleDamaged("edgepack.json cannot be read: \(error)")
        }
        version = SHA256.hash(data: content).hexadecimal
        guard manifest.task == "@task@" else {
            throw ModelError.bundleDamaged("\(folder.path) is for \(manifest.task), and this code is for @task@")
        }
        try check()
    }

    /// The place of a file of the bundle.
    public func file(_ name: String) -> URL { folder.appending(path: name) }

    private func check() throws {
        for (name, entry) in manifest.files {
            let found = try Self.sha256(file(name))
            if found != entry.sha256 {
                throw ModelError.bundleDamaged(
                    "\(told(name)) in \(folder.path): \(name) has the SHA-256 \(found), and the model was built with "
                        + entry.sha256)
            }
        }
    }

    /// Names the model and its tokenizer where one of them is wrong: one without the other answers nonsense.
    private func told(_ wrong: String) -> String {
        let models = manifest.models.values.flatMap(\.files).sorted()
        let tokenizers = manifest.files.keys.filter { $0.split(separator: "/").last == "tokenizer.json" }.sorted()
        guard models.contains(wrong) || tokenizers.contains(wrong) else { return "\(wrong) is not the bundle's" }
        let others = models.contains(wrong) ? tokenizers : Array(models.prefix(1))
        return ([wrong] + others).joined(separator: " and ") + " do not belong together"
    }

    private static func sha256(_ file: URL) throws -> String {
        guard let handle = try? FileHandle(forReadingFrom: file) else {
            throw ModelError.bundleDamaged("\(file.lastPathComponent) is missing in \(file.path)")
        }
        defer { try? handle.close() }
        var hash = SHA256()
        while let chunk = try handle.read(upToCount: 1 << 20), !chunk.isEmpty {
            hash.update(data: chunk)
        }
        return hash.finalize().hexadecimal
    }
}

extension SHA256.Digest {
    fileprivate var hexadecimal: String { map { String(format: "%02x", $0) }.joined() }
}
