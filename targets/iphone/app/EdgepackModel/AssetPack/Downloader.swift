import BackgroundAssets
import ExtensionFoundation
import StoreKit

/// The app's downloader extension: the system downloads the asset pack of @bundle@ and keeps it up to date.
@main
struct Downloader: StoreDownloaderExtension {
    func shouldDownload(_ assetPack: AssetPack) -> Bool { true }
}
