// The model as an AI pack of @bytes@, which Play installs with the app: its files are among the app's assets.
plugins { id("com.android.ai-pack") }

aiPack {
    packName = "edgepack_model"
    dynamicDelivery { deliveryType = "install-time" }
}
