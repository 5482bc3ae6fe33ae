import BackgroundAssets
import Foundation
import System

extension ModelBundle {
    /// Waits for the app's asset pack, which the system may have downloaded already; `progress` is told 0...1.
    ///
    /// Throws `ModelError.download` where there is no network or no such pack. Cancelling the task ends the wait.
    public static func fetch(progress: @escaping @Sendable (Double) -> Void = { _ in }) async throws {
        if local != nil { return progress(1) }
        let manager = AssetPackManager.shared
        do {
            let found = try await manager.assetPack(withID: pack)
            let told = Task {
                for await update in manager.statusUpdates(forAssetPackWithID: pack) {
                    if case .downloading(_, let done) = update { progress(done.fractionCompleted) }
                }
            }
            defer { told.cancel() }
            try await manager.ensureLocalAvailability(of: found)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw ModelError.download("the asset pack \(pack) was not downloaded: \(error.localizedDescription)")
        }
        progress(1)
    }

    /// The folder of the files in the asset pack, or in a build for tests where the package was made; nil: neither.
    static var local: URL? {
        #if DEBUG
            let made = URL(filePath: #filePath).appending(path: "../../../AssetPack/\(pack)").standardizedFileURL
            if holds(made) { return made }
        #endif
        return (try? AssetPackManager.shared.url(for: FilePath(pack))).flatMap { holds($0) ? $0 : nil }
    }

    private static func holds(_ folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: folder.appending(path: "edgepack.json").path)
    }

    private static let pack = "edgepack-model"
}
